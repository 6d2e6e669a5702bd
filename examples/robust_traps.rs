//! What becomes of the C library's robust mutexes, whose owner's death the kernel tells, when they are used as a
//! library for others would have to let them be used. Chapter 6 of the book explains each line.
//!
//! ```text
//! cargo run --example robust_traps
//! ```
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::{process, ptr, slice, thread};

use tine::wire::Share;
use tine::{Shared, spawn};

fn main() -> Result<(), tine::Error> {
    let [a, b] = [Robust::new()?, Robust::new()?];
    let _ = spawn(|| locked(&a, &b, || ()))?.join();
    println!("killed with both held:                {}, {}", a.found(), b.found());

    let [a, b] = [Robust::new()?, Robust::new()?];
    let _ = spawn(|| locked(&a, &b, || unmap(&b)))?.join();
    println!("the second unmapped before the kill:  {}, {}", a.found(), b.found());

    let many = Shared::<[Robust]>::from_fn(3000, |_| Robust::made())?;
    spawn(|| many.iter().for_each(|one| assert_eq!(one.try_lock(), 0)))?.join()?;
    let lost = many.iter().filter(|one| one.found() == "locked for ever").count();
    println!("3000 held by one thread:              {lost} locked for ever");

    let [a, b] = [Robust::new()?, Robust::new()?];
    // SAFETY: without flags it is a fork that the C library does not know of; this process has one thread.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
        0 => locked(&a, &b, || ()),
        child => drop(rustix::process::waitpid(
            rustix::process::Pid::from_raw(child as i32),
            rustix::process::WaitOptions::empty(),
        )),
    }
    println!("in the child of a raw clone:          {}, {}", a.found(), b.found());

    let [a, b] = [Robust::new()?, Robust::new()?];
    let changed = spawn(|| {
        a.try_lock();
        let page = reuse(&a, 0);
        b.try_lock();
        page.iter().filter(|byte| **byte != 0).count()
    })?;
    println!("its memory used again, another taken: {} bytes of that memory are changed", changed.join()?);

    let a = Robust::new()?;
    let changed = spawn(|| {
        let thread = thread::spawn({
            let a = a.clone();
            move || {
                a.try_lock();
                let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
                (reuse(&a, thread), thread)
            }
        });
        let (page, thread) = thread.join().expect("it does not panic");
        // Joined, it may still be on its way out of the kernel.
        while std::path::Path::new(&format!("/proc/self/task/{thread}")).exists() {
            thread::yield_now();
        }
        let words = page.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")));
        words.filter(|&word| word != thread).collect::<Vec<_>>()
    })?;
    println!("and its thread ends:                  these words are changed, to {:#x?}", changed.join()?);
    Ok(())
}

/// Takes both, does something, and dies.
fn locked(a: &Robust, b: &Robust, then: impl FnOnce()) {
    a.try_lock();
    b.try_lock();
    then();
    process::abort();
}

/// A robust mutex between processes, made as its manual says.
struct Robust(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: it is used through calls that are made for several threads and processes.
unsafe impl Sync for Robust {}
// SAFETY: as above. (That it holds pointers, to others on the list of its thread, is part of what this program shows.)
unsafe impl Share for Robust {}

impl Robust {
    fn new() -> Result<Shared<Robust>, tine::Error> {
        Ok(Shared::new(Robust::made())?)
    }

    fn made() -> Robust {
        let mut attributes = MaybeUninit::uninit();
        let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
        // SAFETY: the attributes are made first. The mutex is moved before its first use, which glibc allows.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST);
            libc::pthread_mutex_init(&raw mut mutex, attributes.as_ptr());
        }
        Robust(UnsafeCell::new(mutex))
    }

    fn try_lock(&self) -> i32 {
        // SAFETY: a mutex that was made, and lives as long as the memory that it is in.
        unsafe { libc::pthread_mutex_trylock(self.0.get()) }
    }

    /// How the next one finds it, when everybody who had it is dead.
    fn found(&self) -> &'static str {
        match self.try_lock() {
            0 => "free",
            libc::EOWNERDEAD => "told",
            _ => "locked for ever",
        }
    }
}

/// The page that a mutex begins.
fn page_of(mutex: &Shared<Robust>) -> *mut libc::c_void {
    ptr::from_ref::<Robust>(mutex).cast_mut().cast()
}

fn unmap(mutex: &Shared<Robust>) {
    // SAFETY: this process ends before anybody uses the mutex, or the handle, again: that is the program's fault to show.
    unsafe { libc::munmap(page_of(mutex), PAGE) };
}

const PAGE: usize = 4096;

/// Unmaps it and maps the same address for something else, as malloc might: a page full of one number.
fn reuse(mutex: &Shared<Robust>, number: u32) -> &'static [u8] {
    unmap(mutex);
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: the address is free; what is mapped there is this function's, and is never unmapped. That others write to it is,
    // again, what this program shows.
    unsafe {
        let page = libc::mmap(page_of(mutex), PAGE, access, kind | libc::MAP_FIXED_NOREPLACE, -1, 0);
        assert_eq!(page, page_of(mutex));
        slice::from_raw_parts_mut(page.cast::<u32>(), PAGE / 4).fill(number);
        slice::from_raw_parts(page.cast(), PAGE)
    }
}
