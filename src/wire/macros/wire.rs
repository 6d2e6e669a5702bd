//! What `wire!` and `pass!` write for one struct or enum: the type as it was, and the two functions that mirror each other.
//!
//! `$how` says by which trait the fields are written: `(Wire encode decode wire_tag)` or `(Pass encode_pass decode_pass pass_tag)`.

#[doc(hidden)]
#[macro_export]
macro_rules! __tine_wire {
    (struct $($item:tt)*) => { $crate::__tine_wire! { @as (Wire encode decode wire_tag) struct $($item)* } };
    (enum $($item:tt)*) => { $crate::__tine_wire! { @as (Wire encode decode wire_tag) enum $($item)* } };
    (@as $how:tt struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] { $($body:tt)* }) => {
        $($head)* struct $name<$($p)*> where $($w)* { $($body)* }
        $crate::__tine_wire! { @named $how $name [$($p)*] $a $t [$($w)*] $($body)* }
    };
    (@as $how:tt struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] []) => {
        $($head)* struct $name<$($p)*> where $($w)*;
        $crate::__tine_wire! { @named $how $name [$($p)*] $a $t [$($w)*] }
    };
    (@as $how:tt struct $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] ( $($body:tt)* )) => {
        $($head)* struct $name<$($p)*> ( $($body)* ) where $($w)*;
        $crate::__tine_wire! { @positional $how $name [$($p)*] $a $t [$($w)*] [] $($body)* }
    };
    (@as $how:tt enum $name:ident [$($head:tt)*] [$($p:tt)*] $a:tt $t:tt [$($w:tt)*] { $($body:tt)* }) => {
        $($head)* enum $name<$($p)*> where $($w)* { $($body)* }
        $crate::__tine_wire! { @variants $how (self out input tag __TineTag) ($name [$($p)*] $a $t [$($w)*])
            [] [] [] [] $($body)* }
    };

    (@named ($Trait:ident $encode:ident $decode:ident $tag_in:ident) $name:ident $p:tt $a:tt $t:tt $w:tt
        $($(#[$($attribute:tt)*])* $visible:vis $field:ident : $type:ty),* $(,)?) => {
        $crate::__tine_wire! { @impl $Trait (self out input) ($name $p $a $t $w)
            [$crate::wire::private::sum(&[$(<$type as $crate::wire::Wire>::MAX_SIZE),*])]
            [match *self { $name { $(ref $field),* } => { $($crate::wire::$Trait::$encode($field, out)?;)* } }]
            [::core::result::Result::Ok($name { $($field: $crate::wire::$Trait::$decode(input)?),* })]
        }
    };

    // A name for each field of a tuple: every step's `field` is another identifier, by hygiene.
    (@positional $how:tt $name:ident $p:tt $a:tt $t:tt $w:tt [$($known:tt)*]
        $(#[$($attribute:tt)*])* $visible:vis $type:ty $(, $($rest:tt)*)?) => {
        $crate::__tine_wire! { @positional $how $name $p $a $t $w [$($known)* field: $type,] $($($rest)*)? }
    };
    (@positional ($Trait:ident $encode:ident $decode:ident $tag_in:ident) $name:ident $p:tt $a:tt $t:tt $w:tt
        [$($field:ident : $type:ty,)*]) => {
        $crate::__tine_wire! { @impl $Trait (self out input) ($name $p $a $t $w)
            [$crate::wire::private::sum(&[$(<$type as $crate::wire::Wire>::MAX_SIZE),*])]
            [match *self { $name($(ref $field),*) => { $($crate::wire::$Trait::$encode($field, out)?;)* } }]
            [::core::result::Result::Ok($name($(<$type as $crate::wire::$Trait>::$decode(input)?),*))]
        }
    };

    // One variant at a time, each adding its tag, its size, an arm to the encoder and a line to the decoder.
    (@variants ($Trait:ident $encode:ident $decode:ident $tag_in:ident) ($this:ident $out:ident $input:ident $tag_read:ident $Tag:ident) $item:tt
        [$($tag:ident)*] [$($size:tt)*] [$($arm:tt)*] [$($line:tt)*]
        $(#[$($attribute:tt)*])* $variant:ident { $($(#[$($on_field:tt)*])* $field:ident : $type:ty),* $(,)? }
        $(= $number:expr)? $(, $($rest:tt)*)?) => {
        $crate::__tine_wire! { @variants ($Trait $encode $decode $tag_in) ($this $out $input $tag_read $Tag) $item
            [$($tag)* $variant]
            [$($size)* $crate::wire::private::sum(&[$(<$type as $crate::wire::Wire>::MAX_SIZE),*]),]
            [$($arm)* Self::$variant { $(ref $field),* } => {
                $crate::wire::private::$tag_in::write($out, $Tag::$variant as usize);
                $($crate::wire::$Trait::$encode($field, $out)?;)*
            }]
            [$($line)* if $tag_read == $Tag::$variant as usize {
                return ::core::result::Result::Ok(Self::$variant { $($field: $crate::wire::$Trait::$decode($input)?),* });
            }]
            $($($rest)*)?
        }
    };
    (@variants $how:tt $names:tt $item:tt $tags:tt $sizes:tt $arms:tt $lines:tt
        $(#[$($attribute:tt)*])* $variant:ident ( $($fields:tt)* ) $(= $number:expr)? $(, $($rest:tt)*)?) => {
        $crate::__tine_wire! { @fields $how $names $item $tags $sizes $arms $lines $variant [] ($($fields)*) $($($rest)*)? }
    };
    (@variants $how:tt $names:tt $item:tt $tags:tt $sizes:tt $arms:tt $lines:tt
        $(#[$($attribute:tt)*])* $variant:ident $(= $number:expr)? $(, $($rest:tt)*)?) => {
        $crate::__tine_wire! { @variants $how $names $item $tags $sizes $arms $lines $variant {}, $($($rest)*)? }
    };
    (@fields $how:tt $names:tt $item:tt $tags:tt $sizes:tt $arms:tt $lines:tt $variant:ident [$($known:tt)*]
        ($(#[$($attribute:tt)*])* $type:ty $(, $($fields:tt)*)?) $($rest:tt)*) => {
        $crate::__tine_wire! { @fields $how $names $item $tags $sizes $arms $lines $variant
            [$($known)* field: $type,] ($($($fields)*)?) $($rest)* }
    };
    (@fields ($Trait:ident $encode:ident $decode:ident $tag_in:ident) ($this:ident $out:ident $input:ident $tag_read:ident $Tag:ident) $item:tt
        [$($tag:ident)*] [$($size:tt)*] [$($arm:tt)*] [$($line:tt)*]
        $variant:ident [$($field:ident : $type:ty,)*] () $($rest:tt)*) => {
        $crate::__tine_wire! { @variants ($Trait $encode $decode $tag_in) ($this $out $input $tag_read $Tag) $item
            [$($tag)* $variant]
            [$($size)* $crate::wire::private::sum(&[$(<$type as $crate::wire::Wire>::MAX_SIZE),*]),]
            [$($arm)* Self::$variant($(ref $field),*) => {
                $crate::wire::private::$tag_in::write($out, $Tag::$variant as usize);
                $($crate::wire::$Trait::$encode($field, $out)?;)*
            }]
            [$($line)* if $tag_read == $Tag::$variant as usize {
                return ::core::result::Result::Ok(Self::$variant($(<$type as $crate::wire::$Trait>::$decode($input)?),*));
            }]
            $($rest)*
        }
    };
    (@variants ($Trait:ident $encode:ident $decode:ident $tag_in:ident) ($this:ident $out:ident $input:ident $tag_read:ident $Tag:ident) ($name:ident $($item:tt)*)
        [$($tag:ident)*] [$($size:tt)*] [$($arm:tt)*] [$($line:tt)*]) => {
        const _: () = {
            // The places of the variants, whatever their discriminants are.
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum $Tag { $($tag),* }
            const VARIANTS: &[&str] = &[$(::core::stringify!($tag)),*];
            $crate::__tine_wire! { @impl $Trait ($this $out $input) ($name $($item)*)
                [$crate::wire::private::sum(&[
                    $crate::wire::private::tag(VARIANTS.len()),
                    $crate::wire::private::largest(&[$($size)*]),
                ])]
                [match *$this { $($arm)* }]
                [{
                    let $tag_read = $crate::wire::private::$tag_in::take($input)?;
                    $($line)*
                    ::core::result::Result::Err($crate::wire::private::$tag_in::no_variant(
                        $input, ::core::stringify!($name), $tag_read,
                    ))
                }]
            }
        };
    };

    (@impl Wire ($this:ident $out:ident $input:ident) ($name:ident [$($p:tt)*] [$($a:tt)*] [$($t:ident)*] [$($w:tt)*])
        [$size:expr] [$($encode:tt)*] [$($decode:tt)*]) => {
        impl<$($p)*> $crate::wire::Wire for $name<$($a)*> where $($t: $crate::wire::Wire,)* $($w)* {
            const MAX_SIZE: ::core::option::Option<usize> = $size;
            #[inline]
            #[allow(unused_variables, unreachable_code)]
            fn encode(
                &$this,
                $out: &mut $crate::wire::Encoder,
            ) -> ::core::result::Result<(), $crate::wire::EncodeError> {
                $($encode)*
                ::core::result::Result::Ok(())
            }
            #[inline]
            #[allow(unused_variables)]
            fn decode(
                $input: &mut $crate::wire::Decoder<'_>,
            ) -> ::core::result::Result<Self, $crate::wire::DecodeError> {
                $($decode)*
            }
        }
        impl<$($p)*> $crate::wire::Pass for $name<$($a)*> where $($t: $crate::wire::Wire,)* $($w)* {
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
    (@impl Pass ($this:ident $out:ident $input:ident) ($name:ident [$($p:tt)*] [$($a:tt)*] [$($t:ident)*] [$($w:tt)*])
        [$size:expr] [$($encode:tt)*] [$($decode:tt)*]) => {
        impl<$($p)*> $crate::wire::Pass for $name<$($a)*> where $($t: $crate::wire::Pass,)* $($w)* {
            #[inline]
            #[allow(unused_variables, unreachable_code)]
            fn encode_pass<'pass>(
                &'pass $this,
                $out: &mut $crate::wire::Passing<'pass>,
            ) -> ::core::result::Result<(), $crate::wire::EncodeError> {
                $($encode)*
                ::core::result::Result::Ok(())
            }
            #[inline]
            #[allow(unused_variables)]
            fn decode_pass(
                $input: &mut $crate::wire::Received<'_>,
            ) -> ::core::result::Result<Self, $crate::wire::DecodeError> {
                $($decode)*
            }
        }
    };
}

/// The same items, whose fields are `Pass`.
#[doc(hidden)]
#[macro_export]
macro_rules! __tine_pass {
    ($($item:tt)*) => { $crate::__tine_wire! { @as (Pass encode_pass decode_pass pass_tag) $($item)* } };
}
