//! What `plain!` writes for one struct: the struct, the checks, the promise.
//!
//! # Safety
//! The promise is an `unsafe impl` of `Plain` in the crate of the caller. It holds because everything it says is asked
//! of the compiler beside it: every field is plain (bounds), no byte lies between them (sizes, or one type), and the
//! fields that were asked about are those that the struct has.

#[doc(hidden)]
#[macro_export]
macro_rules! __tine_plain {
    (enum $($any:tt)*) => {
        ::core::compile_error! { "tine::plain!: an enum is not plain, since not every number is one of its variants; \
            use `tine::wire!`, or store the number and check it when you read" }
    };
    // With the types of the fields.
    (@impl $name:ident [] [] [] $where:tt $($first:ty $(, $type:ty)*)?) => {
        const _: () = ::core::assert!(
            ::core::mem::size_of::<$name>()
                == 0 $(+ ::core::mem::size_of::<$first>() $(+ ::core::mem::size_of::<$type>())*)?,
            ::core::concat!(
                "tine::plain!: `", ::core::stringify!($name), "` has padding: bytes that belong to no field. Order the \
                fields from the largest to the smallest and fill what remains with an array of `u8`"
            )
        );
        $crate::__tine_plain! { @promise $name [] [] $where
            [$($first: $crate::wire::Plain, $($type: $crate::wire::Plain,)*)?] }
    };
    (@impl $name:ident $p:tt $a:tt $t:tt $where:tt $($first:ty $(, $type:ty)*)?) => {
        $crate::__tine_plain! { @generic $name $p $a $where [$($first)?] $([$first: $crate::wire::Plain,
            $($type: $crate::wire::Plain,)*])? [$($($type)*)?] $($($type,)*)? }
    };
    (@generic $name:ident $p:tt $a:tt $where:tt [] [] ) => {
        $crate::__tine_plain! { @promise $name $p $a $where [] }
    };
    (@generic $name:ident $p:tt $a:tt $where:tt [$first:ty] [$($plain:tt)*] $all:tt $($type:ty,)*) => {
        $crate::__tine_plain! { @promise $name $p $a $where
            [$($plain)* $($type: $crate::wire::private::SameAs<$first>,)*] }
    };
    (@promise $name:ident [$($p:tt)*] [$($a:tt)*] [$($w:tt)*] [$($plain:tt)*]) => {
        // SAFETY: every field is plain, `repr(C)` leaves no bytes between them (by the sizes, or because all are of one
        // type), and a struct of them has no rule of its own.
        unsafe impl<$($p)*> $crate::wire::Plain for $name<$($a)*> where $($plain)* $($w)* {}

        impl<$($p)*> $crate::wire::Wire for $name<$($a)*> where $($plain)* $($w)* {
            const MAX_SIZE: ::core::option::Option<usize> =
                ::core::option::Option::Some(::core::mem::size_of::<Self>());
            const PLAIN: ::core::option::Option<$crate::wire::private::Bulk<Self>> =
                ::core::option::Option::Some($crate::wire::private::Bulk::of());
            #[inline]
            fn encode(
                &self,
                out: &mut $crate::wire::Encoder,
            ) -> ::core::result::Result<(), $crate::wire::EncodeError> {
                $crate::wire::private::Bulk::<Self>::of().encode(::core::slice::from_ref(self), out);
                ::core::result::Result::Ok(())
            }
            #[inline]
            fn decode(
                input: &mut $crate::wire::Decoder<'_>,
            ) -> ::core::result::Result<Self, $crate::wire::DecodeError> {
                $crate::wire::private::Bulk::<Self>::of().decode(input)
            }
        }

        impl<$($p)*> $crate::wire::Pass for $name<$($a)*> where $($plain)* $($w)* {
            const PLAIN: ::core::option::Option<$crate::wire::private::Bulk<Self>> = <Self as $crate::wire::Wire>::PLAIN;
            #[inline]
            fn encode_pass<'pass>(
                &'pass self,
                out: &mut $crate::wire::Passing<'pass>,
            ) -> ::core::result::Result<(), $crate::wire::EncodeError> {
                out.wire(self)
            }
            #[inline]
            fn decode_pass(
                input: &mut $crate::wire::Received<'_>,
            ) -> ::core::result::Result<Self, $crate::wire::DecodeError> {
                input.wire()
            }
        }
    };
    // A generic struct has only attributes that leave its layout alone: `repr(align(16))` would give it padding that
    // the types of its fields do not show. What is not generic is measured instead.
    (@attributes [] $($head:tt)*) => {};
    (@attributes $p:tt) => {};
    (@attributes $p:tt pub $($rest:tt)*) => { $crate::__tine_plain! { @attributes $p $($rest)* } };
    (@attributes $p:tt ($($within:tt)*) $($rest:tt)*) => { $crate::__tine_plain! { @attributes $p $($rest)* } };
    (@attributes $p:tt #[doc $($text:tt)*] $($rest:tt)*) => { $crate::__tine_plain! { @attributes $p $($rest)* } };
    (@attributes $p:tt #[derive($($t:tt)*)] $($rest:tt)*) => { $crate::__tine_plain! { @attributes $p $($rest)* } };
    (@attributes $p:tt #[allow($($l:tt)*)] $($rest:tt)*) => { $crate::__tine_plain! { @attributes $p $($rest)* } };
    (@attributes $p:tt #[expect($($l:tt)*)] $($rest:tt)*) => { $crate::__tine_plain! { @attributes $p $($rest)* } };
    (@attributes $p:tt #[repr(C)] $($rest:tt)*) => { $crate::__tine_plain! { @attributes $p $($rest)* } };
    (@attributes $p:tt $($other:tt)*) => {
        ::core::compile_error! { "tine::plain!: a generic struct may have the attributes `doc`, `derive`, `allow` and \
            `expect`; any other could give it padding that cannot be seen here" }
    };

    // The fields that are asked about are those that the struct has: none less (`cfg`), none more (an attribute macro).
    (@named $name:ident [$($p:tt)*] [$($a:tt)*] $t:tt [$($w:tt)*]
        $($(#[$($attribute:tt)*])* $visible:vis $field:ident : $type:ty),* $(,)?) => {
        $crate::__tine_plain! { @impl $name [$($p)*] [$($a)*] $t [$($w)*] $($type),* }
        const _: () = {
            #[allow(dead_code)]
            fn fields<$($p)*>(whole: $name<$($a)*>) -> ($($type,)*)
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
        $crate::__tine_plain! { @impl $name [$($p)*] [$($a)*] $t [$($w)*] $($type),* }
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
        $crate::__tine_plain! { @attributes [$($p)*] $($head)* }
        #[repr(C)]
        $($head)* struct $name<$($p)*> where $($w)* { $($body)* }
        $crate::__tine_plain! { @named $name [$($p)*] $a $t [$($w)*] $($body)* }
    };
    (struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] ( $($body:tt)* )) => {
        $crate::__tine_plain! { @attributes [$($p)*] $($head)* }
        #[repr(C)]
        $($head)* struct $name<$($p)*> ( $($body)* ) where $($w)*;
        $crate::__tine_plain! { @positional $name [$($p)*] $a $t [$($w)*] $($body)* }
    };
    (struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] []) => {
        $crate::__tine_plain! { @attributes [$($p)*] $($head)* }
        #[repr(C)]
        $($head)* struct $name<$($p)*> where $($w)*;
        $crate::__tine_plain! { @impl $name [$($p)*] $a $t [$($w)*] }
    };
}
