//! Known bugs, planted on purpose, for tests of the tests.
//!
//! A harness that finds nothing proves nothing, until it finds what is known to be there. Under `--cfg tine_seeded`, which
//! no user of the library sets, `seeded!("name")` is true where the environment variable `TINE_SEEDED` has that name.
//! Otherwise it is the constant `false`, and what it guards is not compiled.

#[cfg(not(tine_seeded))]
macro_rules! seeded {
    ($bug:literal) => {
        false
    };
}

#[cfg(tine_seeded)]
macro_rules! seeded {
    ($bug:literal) => {
        crate::seeded::is($bug)
    };
}

/// Whether this bug is the one to be found.
#[cfg(tine_seeded)]
pub(crate) fn is(bug: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("TINE_SEEDED").ok()).as_deref() == Some(bug)
}
