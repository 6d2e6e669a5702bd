//! `plain!`, `share!`, `wire!` and `pass!`: types that are declared together with what they promise.
//!
//! | file | holds |
//! |---|---|
//! | `items` | the reader: takes an item's generics and body apart, hands each item to one of the next |
//! | `plain`, `share`, `wire` | what is written for one item; `pass!` is the third with another trait |
//!
//! Declarative macros keep the crate without a second crate and without `syn`.
mod items;
mod plain;
mod share;
mod wire;

/// Declares structs that are [`Plain`](crate::wire::Plain), and with that [`Wire`](crate::wire::Wire) and
/// [`Pass`](crate::wire::Pass).
///
/// The structs are as written: attributes, derives, documentation and visibility stay. They have to be `Clone` and
/// `Copy`. The macro adds `#[repr(C)]`, so that the fields lie in the order in which they are written.
///
/// ```
/// tine::plain! {
///     /// One reading.
///     #[derive(Debug, Clone, Copy, PartialEq)]
///     pub struct Sample {
///         pub at: u64,
///         pub value: f32,
///         pub channel: u32,
///     }
///
///     #[derive(Clone, Copy)]
///     struct Id(u128);
///
///     /// A generic one has fields of one type, so it has no padding whatever the type is.
///     #[derive(Clone, Copy)]
///     struct Point<T: tine::wire::Plain> { x: T, y: T, z: T }
///
///     #[derive(Clone, Copy)]
///     struct Matrix<const ROWS: usize, const COLUMNS: usize>([[f64; COLUMNS]; ROWS]);
/// }
///
/// let samples = vec![Sample { at: 1, value: 0.5, channel: 3 }; 1000];
/// let bytes = tine::wire::to_bytes(&samples)?; // one memcpy
/// assert_eq!(tine::wire::from_bytes::<Vec<Sample>>(&bytes)?, samples);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Refused
/// Padding, because its bytes are not initialized and would carry what lay there before to another process:
///
/// ```compile_fail,E0080
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     struct Padded { a: u8, b: u32 } // three bytes of nothing after `a`
/// }
/// ```
///
/// Fields that are not plain; a `bool` is 0 or 1, and the other process may write 2:
///
/// ```compile_fail,E0277
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     struct Flag { on: bool }
/// }
/// ```
///
/// Pointers and references:
///
/// ```compile_fail,E0277
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     struct Name(&'static str);
/// }
/// ```
///
/// ```compile_fail,E0277
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     struct Place(*const u8);
/// }
/// ```
///
/// A struct that is not `Copy`:
///
/// ```compile_fail,E0277
/// tine::plain! { struct Id(u32); }
/// ```
///
/// Fields that are not always there, since the check would count them:
///
/// ```compile_fail,E0026
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     struct Padded { a: u8, #[cfg(any())] fill: [u8; 3], b: u32 }
/// }
/// ```
///
/// Generic structs whose fields are of several types, since some parameter would give them padding:
///
/// ```compile_fail,E0277
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     struct Tagged<T: tine::wire::Plain> { tag: u8, value: T }
/// }
/// fn plain<T: tine::wire::Plain>() {}
/// plain::<Tagged<u8>>(); // two of one type
/// plain::<Tagged<u32>>(); // refused
/// ```
///
/// and attributes on them that could do the same:
///
/// ```compile_fail
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     #[repr(align(16))]
///     struct Wide<T: tine::wire::Plain>(T);
/// }
/// ```
///
/// Another layout:
///
/// ```compile_fail,E0692
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     #[repr(transparent)]
///     struct Id(u32);
/// }
/// ```
///
/// And enums, since not every number is a variant:
///
/// ```compile_fail
/// tine::plain! {
///     #[derive(Clone, Copy)]
///     enum Level { Low, High }
/// }
/// ```
#[macro_export]
macro_rules! plain {
    ($($items:tt)*) => { $crate::__tine_items! { __tine_plain $($items)* } };
}

/// Declares structs that are [`Share`](crate::wire::Share): used in place, in shared memory, by several processes.
///
/// Every field has to be `Share`, and the struct may not implement `Drop`. The macro adds `#[repr(C)]`, so that another
/// build of the program finds the fields where this one does.
///
/// ```
/// use std::sync::atomic::{AtomicU32, AtomicU64};
///
/// tine::share! {
///     /// What the workers tell.
///     #[derive(Default)]
///     pub struct Stats {
///         pub jobs: AtomicU64,
///         pub errors: [AtomicU32; 8],
///     }
///
///     struct Line<T: tine::wire::Share, const N: usize>([T; N]);
/// }
/// # fn share<T: tine::wire::Share>() {}
/// # share::<Stats>(); share::<Line<AtomicU64, 3>>();
/// ```
///
/// # Refused
/// Fields that cannot be used in place:
///
/// ```compile_fail,E0277
/// tine::share! { struct Names { all: Vec<String> } } // points to memory of one process
/// ```
///
/// ```compile_fail,E0277
/// tine::share! { struct Count { n: u64 } } // a plain number that another process may write
/// ```
///
/// ```compile_fail,E0277
/// tine::share! { struct Raw(std::cell::UnsafeCell<u64>); }
/// ```
///
/// Destructors, since no process is the last for certain:
///
/// ```compile_fail,E0080
/// tine::share! { struct Guarded(std::sync::atomic::AtomicU64); }
/// impl Drop for Guarded {
///     fn drop(&mut self) {}
/// }
/// ```
///
/// ```compile_fail,E0119
/// tine::share! { struct Guarded<T: tine::wire::Share>(T); }
/// impl<T: tine::wire::Share> Drop for Guarded<T> {
///     fn drop(&mut self) {}
/// }
/// ```
#[macro_export]
macro_rules! share {
    ($($items:tt)*) => { $crate::__tine_items! { __tine_share $($items)* } };
}

/// Declares structs and enums that are [`Wire`](crate::wire::Wire) and [`Pass`](crate::wire::Pass): encoded field by
/// field.
///
/// The types are as written: attributes, derives, documentation, visibility and explicit discriminants stay. Every
/// field has to be `Wire`; so has every type parameter. Bounds with parameters of their own, as in `T: Into<u64>`, go
/// into a `where` clause. An enum is encoded as the place of its variant and the variant's fields.
///
/// ```
/// use std::collections::BTreeMap;
///
/// tine::wire! {
///     #[derive(Debug, Clone, PartialEq, Default)]
///     pub struct Settings {
///         pub name: String,
///         limits: BTreeMap<String, u64>,
///     }
///
///     #[derive(Debug, PartialEq)]
///     struct Pair<A, B>(A, B);
///
///     struct Nothing;
///
///     /// Contains itself through a box or a collection.
///     #[derive(Debug, PartialEq)]
///     enum Expression<N>
///     where
///         N: Copy,
///     {
///         Zero,
///         Number(N),
///         Sum(Box<Expression<N>>, Box<Expression<N>>),
///         Call { name: String, arguments: Vec<Expression<N>> },
///     }
///
///     #[derive(Clone, Copy, PartialEq, Debug)]
///     #[repr(u8)]
///     enum Level { Low = 10, High = 20 }
/// }
///
/// let x = Expression::Sum(Box::new(Expression::Number(1.5)), Box::new(Expression::Zero));
/// let bytes = tine::wire::to_bytes(&x)?;
/// assert_eq!(tine::wire::from_bytes::<Expression<f64>>(&bytes)?, x);
/// assert_eq!(tine::wire::to_bytes(&Level::High)?, [1]);
/// # let _ = (Settings::default(), Pair(1, 2), Nothing, Level::Low);
/// # let _ = Expression::<u8>::Call { name: String::new(), arguments: vec![] };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An enum of more than about 100 variants, or a tuple of so many fields, needs `#![recursion_limit = "256"]` in its
/// crate.
///
/// # Refused
/// Fields that cannot cross:
///
/// ```compile_fail,E0277
/// tine::wire! { struct Job { run: fn(u32) -> u32 } }
/// ```
///
/// ```compile_fail,E0277
/// tine::wire! { struct Name(&'static str); }
/// ```
///
/// Types that borrow:
///
/// ```compile_fail
/// tine::wire! { struct Name<'a>(std::borrow::Cow<'a, str>); }
/// ```
#[macro_export]
macro_rules! wire {
    ($($items:tt)*) => { $crate::__tine_items! { __tine_wire $($items)* } };
}

/// Declares structs and enums that are [`Pass`](crate::wire::Pass) field by field: they may hold descriptors and shared memory.
///
/// As [`wire!`](crate::wire!), but every field and every type parameter only has to be `Pass`, and the type is not
/// [`Wire`](crate::wire::Wire): it needs a [`Duplex`](crate::channel::Duplex) to travel.
///
/// ```
/// use std::fs::File;
/// use tine::channel::duplex;
///
/// tine::pass! {
///     struct Job {
///         input: File,
///         name: String,
///     }
///
///     enum Order<T> {
///         Do(Vec<Job>, T),
///         Stop,
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (here, there) = duplex::<Order<u32>, ()>()?;
/// let job = Job { input: File::open("/dev/null")?, name: "nothing".into() };
/// here.send(Order::Do(vec![job], 7))?;
/// here.send(Order::Stop)?;
/// let Order::Do(jobs, 7) = there.recv()? else { panic!("the first came second") };
/// assert_eq!(jobs[0].name, "nothing");
/// assert_eq!(jobs[0].input.metadata()?.len(), 0);
/// assert!(matches!(there.recv()?, Order::Stop));
/// # Ok(())
/// # }
/// ```
///
/// # Refused
/// Fields that no process can have from another:
///
/// ```compile_fail,E0277
/// tine::pass! { struct Job { run: fn(u32) -> u32 } }
/// ```
#[macro_export]
macro_rules! pass {
    ($($items:tt)*) => { $crate::__tine_items! { __tine_pass $($items)* } };
}
