//! The reader of items.

/// Takes items apart. Calls the macro `$do` once for each, as
/// `$do! { kind name [head] [parameters] [arguments] [type parameters] [predicates] body }`:
///
/// ```text
/// /// Doc.                       head          [#[doc = " Doc."] pub]
/// pub struct A<T: X, const N: usize>   parameters    [T: X, const N: usize,]
/// where                          arguments     [T, N,]     type parameters [T]
///     T: Y<u8>,                  predicates    [T: Y<u8>,]
/// { x: [T; N] }                  body          { x: [T; N] }, or ( .. ), or [] without fields
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __tine_items {
    // The parameters, one at a time. `=>` parts what is known from what is to be read.
    (@parameters $do:ident $kind:ident $name:ident $head:tt [$($p:tt)*] [$($a:tt)*] [$($t:tt)*] => > $($rest:tt)*) => {
        $crate::__tine_items! { @body $do $kind $name $head [$($p)*] [$($a)*] [$($t)*] => $($rest)* }
    };
    (@parameters $do:ident $kind:ident $name:ident $head:tt [$($p:tt)*] [$($a:tt)*] [$($t:tt)*]
        => const $n:ident : $type:tt, $($rest:tt)*) => {
        $crate::__tine_items! { @parameters $do $kind $name $head
            [$($p)* const $n: $type,] [$($a)* $n,] [$($t)*] => $($rest)* }
    };
    (@parameters $do:ident $kind:ident $name:ident $head:tt [$($p:tt)*] [$($a:tt)*] [$($t:tt)*]
        => const $n:ident : $type:tt > $($rest:tt)*) => {
        $crate::__tine_items! { @parameters $do $kind $name $head
            [$($p)* const $n: $type,] [$($a)* $n,] [$($t)*] => > $($rest)* }
    };
    (@parameters $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt => $lifetime:lifetime $($rest:tt)*) => {
        ::core::compile_error! { "tine: a type that borrows cannot cross to another process; own what it borrows" }
    };
    (@parameters $do:ident $kind:ident $name:ident $head:tt $p:tt [$($a:tt)*] [$($t:tt)*] => $n:ident $($rest:tt)*) => {
        $crate::__tine_items! { @bounds $do $kind $name $head $p [$($a)* $n,] [$($t)* $n] [$n] => $($rest)* }
    };
    // The bounds of one type parameter, token by token, until a comma or the end.
    (@bounds $do:ident $kind:ident $name:ident $head:tt [$($p:tt)*] $a:tt $t:tt [$($b:tt)*] => , $($rest:tt)*) => {
        $crate::__tine_items! { @parameters $do $kind $name $head [$($p)* $($b)*,] $a $t => $($rest)* }
    };
    (@bounds $do:ident $kind:ident $name:ident $head:tt [$($p:tt)*] $a:tt $t:tt [$($b:tt)*] => > $($rest:tt)*) => {
        $crate::__tine_items! { @parameters $do $kind $name $head [$($p)* $($b)*,] $a $t => > $($rest)* }
    };
    (@bounds $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt $b:tt => < $($rest:tt)*) => {
        ::core::compile_error! { "tine: write a bound that has parameters of its own in a `where` clause" }
    };
    (@bounds $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt $b:tt => = $($rest:tt)*) => {
        ::core::compile_error! { "tine: a type parameter with a default is not supported here" }
    };
    (@bounds $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt [$($b:tt)*] => $next:tt $($rest:tt)*) => {
        $crate::__tine_items! { @bounds $do $kind $name $head $p $a $t [$($b)* $next] => $($rest)* }
    };

    // The body: `{ .. }`, `( .. );` or `;`, with a `where` clause before the first and after the second.
    (@body $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt => { $($body:tt)* } $($rest:tt)*) => {
        $crate::$do! { $kind $name $head $p $a $t [] { $($body)* } }
        $crate::__tine_items! { $do $($rest)* }
    };
    (@body $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt => ( $($body:tt)* ); $($rest:tt)*) => {
        $crate::$do! { $kind $name $head $p $a $t [] ( $($body)* ) }
        $crate::__tine_items! { $do $($rest)* }
    };
    (@body $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt => ; $($rest:tt)*) => {
        $crate::$do! { $kind $name $head $p $a $t [] [] }
        $crate::__tine_items! { $do $($rest)* }
    };
    (@body $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt => where $($rest:tt)*) => {
        $crate::__tine_items! { @where $do $kind $name $head $p $a $t [] => $($rest)* }
    };
    (@body $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt => ( $($body:tt)* ) where $($rest:tt)*) => {
        $crate::__tine_items! { @where_after $do $kind $name $head $p $a $t [] ( $($body)* ) => $($rest)* }
    };
    (@where $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt [$($w:tt)*]
        => { $($body:tt)* } $($rest:tt)*) => {
        $crate::$do! { $kind $name $head $p $a $t [$($w)*] { $($body)* } }
        $crate::__tine_items! { $do $($rest)* }
    };
    (@where $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt [$($w:tt)*] => $next:tt $($rest:tt)*) => {
        $crate::__tine_items! { @where $do $kind $name $head $p $a $t [$($w)* $next] => $($rest)* }
    };
    (@where_after $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt $w:tt $body:tt => ; $($rest:tt)*) => {
        $crate::$do! { $kind $name $head $p $a $t $w $body }
        $crate::__tine_items! { $do $($rest)* }
    };
    (@where_after $do:ident $kind:ident $name:ident $head:tt $p:tt $a:tt $t:tt [$($w:tt)*] $body:tt
        => $next:tt $($rest:tt)*) => {
        $crate::__tine_items! { @where_after $do $kind $name $head $p $a $t [$($w)* $next] $body => $($rest)* }
    };

    // What stands before `struct` or `enum`. Nothing here is parsed and put together again: a parsed `$visible:vis` or
    // `$type:ty` comes out in an invisible group, which some derive macros stumble over.
    (@visible $do:ident [$($head:tt)*] => ($($within:tt)*) $($rest:tt)*) => {
        $crate::__tine_items! { @head $do [$($head)* pub ($($within)*)] => $($rest)* }
    };
    (@visible $do:ident [$($head:tt)*] => $($rest:tt)*) => {
        $crate::__tine_items! { @head $do [$($head)* pub] => $($rest)* }
    };
    (@head $do:ident $head:tt => struct $name:ident < $($rest:tt)*) => {
        $crate::__tine_items! { @parameters $do struct $name $head [] [] [] => $($rest)* }
    };
    (@head $do:ident $head:tt => struct $name:ident $($rest:tt)*) => {
        $crate::__tine_items! { @body $do struct $name $head [] [] [] => $($rest)* }
    };
    (@head $do:ident $head:tt => enum $name:ident < $($rest:tt)*) => {
        $crate::__tine_items! { @parameters $do enum $name $head [] [] [] => $($rest)* }
    };
    (@head $do:ident $head:tt => enum $name:ident $($rest:tt)*) => {
        $crate::__tine_items! { @body $do enum $name $head [] [] [] => $($rest)* }
    };
    (@head $do:ident $head:tt => $($other:tt)*) => {
        ::core::compile_error! { "tine: only structs and enums are declared here" }
    };

    // One item after the other.
    ($do:ident) => {};
    ($do:ident $(#[$($attribute:tt)*])* pub $($rest:tt)*) => {
        $crate::__tine_items! { @visible $do [$(#[$($attribute)*])*] => $($rest)* }
    };
    ($do:ident $(#[$($attribute:tt)*])* struct $($rest:tt)*) => {
        $crate::__tine_items! { @head $do [$(#[$($attribute)*])*] => struct $($rest)* }
    };
    ($do:ident $(#[$($attribute:tt)*])* enum $($rest:tt)*) => {
        $crate::__tine_items! { @head $do [$(#[$($attribute)*])*] => enum $($rest)* }
    };
    ($do:ident $($other:tt)*) => {
        ::core::compile_error! { "tine: only structs and enums are declared here" }
    };
}
