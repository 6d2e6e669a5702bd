//! What shared memory may be called, and where such a name is.

use std::fmt;
use std::hash::{BuildHasher, Hasher};

use super::segment_error::SegmentError;

/// Where `shm_open` of glibc and of musl looks, and so Python.
const DIRECTORY: &str = "/dev/shm/";

/// The longest name of a file, in bytes.
const NAME_MAX: usize = 255;

/// A name of shared memory, checked.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name {
    path: String,
}

impl Name {
    /// From a user's name, which may begin with one slash, as in C.
    pub(super) fn parse(name: &str) -> Result<Name, SegmentError> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        let refuse = |why| Err(SegmentError::InvalidName { name: name.to_owned(), why });
        match bare {
            "" => refuse("it is empty"),
            "." | ".." => refuse("it is a directory's"),
            _ if bare.contains('/') => refuse("it has a slash inside"),
            _ if bare.contains('\0') => refuse("it has a NUL inside"),
            _ if bare.len() > NAME_MAX => refuse("it is longer than 255 bytes"),
            _ => Ok(Name { path: format!("{DIRECTORY}{bare}") }),
        }
    }

    /// A name that nobody can guess, in the form of Python's: `psm_` and 8 digits.
    ///
    /// In a child of the process that drew before it the same numbers come again, so who uses it must be ready to find
    /// it taken.
    pub(super) fn draw() -> Name {
        // std keys its hashes by random numbers of the kernel's, a different one each time.
        let random = std::hash::RandomState::new().build_hasher().finish() as u32;
        Name { path: format!("{DIRECTORY}psm_{random:08x}") }
    }

    /// Without the slash, as Python reports it.
    pub(super) fn as_str(&self) -> &str {
        &self.path[DIRECTORY.len()..]
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The directory of all names.
    pub(super) fn directory() -> &'static str {
        DIRECTORY
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_as_shm_open_accepts_them() {
        let long = "n".repeat(NAME_MAX);
        for (name, bare) in [("a", "a"), ("/a", "a"), ("a:b c", "a:b c"), ("...", "..."), (&long, &long), ("ß", "ß")]
        {
            let parsed = Name::parse(name).unwrap();
            assert_eq!((parsed.as_str(), parsed.path()), (bare, &*format!("/dev/shm/{bare}")));
        }
        let slash_and_long = format!("/{long}");
        assert_eq!(Name::parse(&slash_and_long).unwrap().as_str(), long);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = "n".repeat(NAME_MAX + 1);
        for name in ["", "/", ".", "..", "/.", "/..", "//", "//a", "a/b", "../x", "a/", "a\0b", "\0", &long] {
            let Err(SegmentError::InvalidName { name: told, .. }) = Name::parse(name) else { panic!("{name:?}") };
            assert_eq!(told, name);
        }
    }

    #[test]
    fn drawn_names_have_the_form_of_pythons() {
        let (a, b) = (Name::draw(), Name::draw());
        assert_ne!(a, b);
        let digits = a.as_str().strip_prefix("psm_").unwrap();
        assert!(digits.len() == 8 && digits.bytes().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')), "{a:?}");
    }
}
