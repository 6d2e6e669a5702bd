//! Captures that go to the child only.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use super::hand_over;

/// A value that a spawned closure takes with it: the child drops it, the parent only forgets its copy.
///
/// A closure is copied by fork, and both copies of what it captured are dropped, each by its process. For
/// memory that is right; for what stands for something outside memory it happens once too often: a temporary
/// directory is removed under the child, a buffer is flushed twice, a connection is closed while the child
/// uses it. `Moved` makes the parent's drop do nothing, *in the spawn that took it*; anywhere else (the spawn
/// failed, the closure was never spawned) it drops the value as usual.
///
/// What is forgotten stays allocated in the parent: memory, and descriptors too.
///
/// # Examples
///
/// ```
/// use tine::process::Moved;
///
/// struct Directory(std::path::PathBuf);
/// impl Drop for Directory {
///     fn drop(&mut self) {
///         let _ = std::fs::remove_dir_all(&self.0);
///     }
/// }
///
/// let path = std::env::temp_dir().join(format!("scratch-{}", std::process::id()));
/// std::fs::create_dir(&path)?;
/// let scratch = Moved(Directory(path.clone()));
/// let child = tine::spawn(move || std::fs::write(scratch.0.join("file"), "text").is_ok())?;
/// assert!(child.join()?); // the parent's copy did not remove it under the child
/// assert!(!path.exists()); // the child's copy did, when the closure ended
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Moved<T> {
    value: ManuallyDrop<T>,
}

/// Wraps `value`, as a tuple struct's constructor would.
#[allow(non_snake_case)]
pub fn Moved<T>(value: T) -> Moved<T> {
    Moved { value: ManuallyDrop::new(value) }
}

impl<T> Moved<T> {
    /// The value, to be dropped as usual.
    pub fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used again and its Drop does not run, so the value is taken once.
        #[allow(unsafe_code)]
        unsafe {
            ManuallyDrop::take(&mut this.value)
        }
    }
}

impl<T> Drop for Moved<T> {
    fn drop(&mut self) {
        if !hand_over::is_under_way() {
            // SAFETY: this is the only drop of the value, and nothing uses it afterwards.
            #[allow(unsafe_code)]
            unsafe {
                ManuallyDrop::drop(&mut self.value);
            }
        }
    }
}

impl<T> Deref for Moved<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Moved<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Moved<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Moved").field(&*self.value).finish()
    }
}
