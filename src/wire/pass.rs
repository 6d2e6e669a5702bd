//! What can be handed to another process at all.

use super::plain::Bulk;
use super::{DecodeError, EncodeError, Passing, Received};

/// Can be handed to another process: every [`Wire`](super::Wire) type, and descriptors and shared memory besides.
///
/// An `OwnedFd` is a number, but the number alone is worth nothing to another process: the kernel has to hand over what
/// it stands for, by a fork or through a socket. So it is `Pass` and not `Wire`, and a channel of bytes refuses it at
/// compile time. Tuples, `Option`, `Vec` and the other containers of `Pass` types are `Pass`.
///
/// ```
/// use std::net::TcpStream;
/// use tine::wire::Pass;
///
/// fn hand_over<T: Pass>(_: T) {}
/// hand_over((7_u32, "seven".to_string()));
/// hand_over::<Option<(TcpStream, u64)>>(None);
/// ```
///
/// ```compile_fail,E0277
/// fn as_bytes<T: tine::wire::Wire>(_: T) {}
/// as_bytes(std::fs::File::open("/dev/null").unwrap());
/// ```
///
/// # Implementing
///
/// The macros implement it for their types: [`wire!`](crate::wire!) and [`plain!`](crate::plain!) for what has a
/// [`Wire`](super::Wire) encoding, [`pass!`](crate::pass!) for structs and enums with descriptors in them. By hand it is two
/// functions that mirror each other. For a type that is `Wire` they are one call each; it is not derived from `Wire` by a
/// blanket, since then a tuple with a descriptor in it could not be `Pass`.
///
/// ```
/// use std::fs::File;
/// use tine::wire::{DecodeError, EncodeError, Pass, Passing, Received};
///
/// /// A file that is read from some place on.
/// struct Tail {
///     file: File,
///     from: u64,
/// }
///
/// impl Pass for Tail {
///     fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
///         self.file.encode_pass(out)?;
///         out.wire(&self.from)
///     }
///     fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
///         Ok(Tail { file: File::decode_pass(input)?, from: input.wire()? })
///     }
/// }
/// ```
///
/// An empty `impl Pass for Name {}` is for types that only a fork hands over: to send such a value through a
/// [`Duplex`](crate::channel::Duplex) is refused at compile time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be handed to another process",
    label = "not `Pass`",
    note = "types inside `tine::wire! {{ .. }}` or `tine::plain! {{ .. }}` are; beside your own `Wire` add `impl Pass`",
    note = "a forked closure inherits whatever it captures, of any type: capture the value instead of passing it"
)]
pub trait Pass: Sized {
    /// The proof that the type is `Plain`, where it is: what makes a slice of it one copy.
    #[doc(hidden)]
    const PLAIN: Option<Bulk<Self>> = None;

    /// Appends the value to `out`: its bytes, and the descriptors that it owns, which stay its own until they were sent.
    ///
    /// # Errors
    ///
    /// Where this value cannot be handed over.
    fn encode_pass<'a>(&'a self, out: &mut Passing<'a>) -> Result<(), EncodeError> {
        let _ = out;
        const { assert_is_sent::<Self>() };
        unreachable!("it does not compile")
    }

    /// Takes a value from the front of `input`, with its descriptors.
    ///
    /// As [`Wire::decode`](super::Wire::decode) it trusts nothing: a descriptor may be of any kind, and is looked at first.
    ///
    /// # Errors
    ///
    /// Where the bytes and descriptors are not those of a value of this type. What was taken until then is closed.
    fn decode_pass(input: &mut Received<'_>) -> Result<Self, DecodeError> {
        let _ = input;
        const { assert_is_sent::<Self>() };
        unreachable!("it does not compile")
    }
}

/// Fails to compile where it is used, which is not before somebody sends a `T`.
const fn assert_is_sent<T>() {
    // No type is so large; that a `T` is asked for makes the compiler wait for one.
    assert!(
        size_of::<T>() > isize::MAX as usize,
        "a value of this type goes to another process by a fork alone: move it into the closure that is spawned \
         (a type of your own can go through a socket, too: write `encode_pass` and `decode_pass`)"
    );
}

/// The methods of a type that is `Wire`.
macro_rules! by_wire {
    () => {
        const PLAIN: Option<$crate::wire::private::Bulk<Self>> = <Self as $crate::wire::Wire>::PLAIN;
        #[inline]
        fn encode_pass<'pass>(
            &'pass self,
            out: &mut $crate::wire::Passing<'pass>,
        ) -> Result<(), $crate::wire::EncodeError> {
            out.wire(self)
        }
        #[inline]
        fn decode_pass(input: &mut $crate::wire::Received<'_>) -> Result<Self, $crate::wire::DecodeError> {
            input.wire()
        }
    };
}
pub(crate) use by_wire;
