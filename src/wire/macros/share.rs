//! What `share!` writes for one struct: the struct, the checks, the promise.
//!
//! # Safety
//! The promise is an `unsafe impl` of `Share` in the crate of the caller. It holds because everything it says is asked
//! of the compiler beside it: every field is `Share`, the struct has no destructor, and the fields that were asked
//! about are those that the struct has.

#[doc(hidden)]
#[macro_export]
macro_rules! __tine_share {
    (enum $($any:tt)*) => {
        ::core::compile_error! { "tine::share!: an enum cannot be changed in place by several processes; \
            use an atomic number, or put the enum into a lock" }
    };
    (@impl $name:ident [] [] [] [$($w:tt)*] $($type:ty),*) => {
        const _: () = ::core::assert!(
            !::core::mem::needs_drop::<$name>(),
            ::core::concat!(
                "tine::share!: `", ::core::stringify!($name), "` has a destructor (its own, or that of a field), but no process is the last to use \
                shared memory for certain; remove `impl Drop`"
            )
        );
        $crate::__tine_share! { @promise $name [] [] [] [$($w)*] $($type),* }
    };
    (@impl $name:ident [$($p:tt)*] [$($a:tt)*] [$($t:ident)*] [$($w:tt)*] $($type:ty),*) => {
        const _: () = {
            // The size of a generic type is not known here, but two implementations for one type are refused.
            trait NoDestructorInSharedMemory {}
            #[allow(drop_bounds)]
            impl<T: ::core::ops::Drop> NoDestructorInSharedMemory for T {}
            impl<$($p)*> NoDestructorInSharedMemory for $name<$($a)*> where $($w)* {}
        };
        $crate::__tine_share! { @promise $name [$($p)*] [$($a)*] [$($t)*] [$($w)*] $($type),* }
    };
    (@promise $name:ident [$($p:tt)*] [$($a:tt)*] [$($t:ident)*] [$($w:tt)*] $($type:ty),*) => {
        // SAFETY: all access goes to fields that are `Share`; a struct of them holds nothing else and has no
        // destructor.
        unsafe impl<$($p)*> $crate::wire::Share for $name<$($a)*>
        where
            Self: ::core::marker::Sync,
            $($t: 'static,)*
            $($type: $crate::wire::Share,)*
            $($w)*
        {}
    };
    // The fields that are asked about are those that the struct has: none less (`cfg`), none more (an attribute macro).
    (@named $name:ident [$($p:tt)*] [$($a:tt)*] $t:tt [$($w:tt)*]
        $($(#[$($attribute:tt)*])* $visible:vis $field:ident : $type:ty),* $(,)?) => {
        $crate::__tine_share! { @impl $name [$($p)*] [$($a)*] $t [$($w)*] $($type),* }
        const _: () = {
            #[allow(dead_code)]
            fn fields<'a, $($p)*>(whole: &'a $name<$($a)*>) -> ($(&'a $type,)*)
            where
                $($w)*
            {
                let $name { $($field),* } = whole;
                ($($field,)*)
            }
        };
    };
    (@positional $name:ident [$($p:tt)*] [$($a:tt)*] $t:tt [$($w:tt)*]
        $($(#[$($attribute:tt)*])* $visible:vis $type:ty),* $(,)?) => {
        $crate::__tine_share! { @impl $name [$($p)*] [$($a)*] $t [$($w)*] $($type),* }
        const _: () = {
            #[allow(dead_code)]
            fn fields<$($p)*>() -> fn($($type),*) -> $name<$($a)*>
            where
                $($w)*
            {
                $name
            }
        };
    };

    (struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] { $($body:tt)* }) => {
        #[repr(C)]
        $($head)* struct $name<$($p)*> where $($w)* { $($body)* }
        $crate::__tine_share! { @named $name [$($p)*] $a $t [$($w)*] $($body)* }
    };
    (struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] ( $($body:tt)* )) => {
        #[repr(C)]
        $($head)* struct $name<$($p)*> ( $($body)* ) where $($w)*;
        $crate::__tine_share! { @positional $name [$($p)*] $a $t [$($w)*] $($body)* }
    };
    (struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] []) => {
        #[repr(C)]
        $($head)* struct $name<$($p)*> where $($w)*;
        $crate::__tine_share! { @impl $name [$($p)*] $a $t [$($w)*] }
    };
}
