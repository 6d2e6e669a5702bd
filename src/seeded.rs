//! Known bugs, planted on purpose, for tests of the tests.
//!
//! A harness that finds nothing proves nothing, until it finds what is known to be there. Under `--cfg tine_seeded`, which
//! no user of the library sets, `seeded!("name")` is true where that is among the names, parted by commas, in the environment
//! variable `TINE_SEEDED`. Otherwise it is the constant `false`, and what it guards is not compiled.

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

/// Whether this bug is among those to be found.
#[cfg(tine_seeded)]
pub(crate) fn is(bug: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("TINE_SEEDED").ok());
    chosen.as_deref().is_some_and(|chosen| chosen.split(',').any(|name| name == bug))
}
