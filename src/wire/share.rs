//! Types that several processes use in place.
//!
//! # Safety
//! `Share` is a promise about a type, made here for those of std.
#![allow(unsafe_code)]
use std::marker::PhantomData;
use std::sync::atomic;

use static_assertions::{assert_impl_all, assert_not_impl_any, const_assert_eq};

/// May be used in place by several processes at once, each through `&Self` to the same memory.
///
/// Atomics, [locks](crate::sync), and arrays and [`share!`](crate::share) structs of them. A [`Plain`](super::Plain)
/// value is not `Share`: `&u64` promises that nothing writes it, and the other process has made no such promise. Tuples
/// are not either: two builds of one program may lay them out differently.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// tine::share! {
///     /// Lives in shared memory.
///     pub struct Progress { done: AtomicU64, of: AtomicU64 }
/// }
/// let progress = Progress { done: AtomicU64::new(0), of: AtomicU64::new(10) };
/// progress.done.fetch_add(1, Ordering::Relaxed);
/// ```
///
/// ```compile_fail,E0277
/// fn share<T: tine::wire::Share>() {}
/// share::<std::sync::Mutex<u32>>(); // its lock word is only known to threads of this process
/// ```
///
/// ```compile_fail,E0277
/// fn share<T: tine::wire::Share>() {}
/// share::<u64>();
/// ```
///
/// # Safety
/// - All access through `&Self` is atomic, or guarded by words inside the value that work between processes.
/// - It holds no pointers, references or descriptors, and nothing that only one process can use.
/// - It has no drop glue: the memory outlives the processes that use it, and none of them is the last for certain.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used in place by several processes",
    label = "not `Share`",
    note = "use atomics, the locks of `tine::sync`, arrays of them, or a struct of them inside `tine::share! {{ .. }}`",
    note = "for plain data that is copied in and out use `tine::SharedSlice`",
    note = "std's locks, `Cell`, `Rc`, `Vec` and everything else that points to memory work in one process only"
)]
pub unsafe trait Share: Sync + 'static {}

macro_rules! atomics {
    ($($name:ident is $number:ty),*) => {$(
        // SAFETY: all access is atomic, the atomic has the layout of its number, and there is no drop glue. Lock-free:
        // std has the type only where the machine has the instruction, so no lock is hidden in one process.
        unsafe impl Share for atomic::$name {}
        const_assert_eq!(size_of::<atomic::$name>(), size_of::<$number>());
    )*};
}
atomics!(
    AtomicU8 is u8, AtomicU16 is u16, AtomicU32 is u32, AtomicU64 is u64, AtomicUsize is usize,
    AtomicI8 is i8, AtomicI16 is i16, AtomicI32 is i32, AtomicI64 is i64, AtomicIsize is isize,
    // A process that writes another byte than 0 or 1 over it by other means breaks its peers: `Share` is for processes
    // that may crash, not for those that lie.
    AtomicBool is bool
);

// SAFETY: elements that keep the contract, and nothing besides.
unsafe impl<T: Share, const N: usize> Share for [T; N] {}
// SAFETY: elements that keep the contract, and nothing besides.
unsafe impl<T: Share> Share for [T] {}
// SAFETY: nothing is there to access.
unsafe impl Share for () {}
// SAFETY: nothing is there to access.
unsafe impl<T: ?Sized + Sync + 'static> Share for PhantomData<T> {}

assert_impl_all!([atomic::AtomicU64; 3]: Share);
assert_not_impl_any!(atomic::AtomicPtr<u8>: Share);
assert_not_impl_any!(u64: Share);
assert_not_impl_any!(std::sync::Mutex<u8>: Share);
assert_not_impl_any!(std::cell::UnsafeCell<u8>: Share);
assert_not_impl_any!(std::sync::Arc<atomic::AtomicU64>: Share);
