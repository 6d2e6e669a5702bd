//! Making children: what arrives, what is copied, what is dropped where, and what stays behind.
mod support;

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tine::process::{Cause, JoinError, Moved, Ran, SpawnError, after_fork_in_child, parent, raw, spawn_with, stop};
use tine::{Builder, spawn};

fn main() {
    support::run(cases![
        the_result_arrives,
        a_large_result_arrives,
        captures_of_any_type_are_inherited,
        arguments_are_handed_over,
        a_childs_writes_stay_in_the_child,
        a_panic_never_leaves_the_child,
        the_parents_guards_are_not_dropped_in_the_child,
        buffered_stdout_appears_once,
        what_the_child_prints_without_newline_appears,
        a_broken_stdout_does_not_change_the_result,
        captures_are_dropped_in_both,
        moved_captures_are_dropped_in_the_child_only,
        moved_values_are_dropped_in_a_child_of_a_hand_over,
        moved_values_are_dropped_when_the_spawn_fails,
        kept_captures_are_dropped_after_the_child,
        a_panicking_capture_drop_is_the_parents_own,
        the_closure_comes_back_when_the_spawn_fails,
        children_of_children_of_children,
        a_child_knows_its_parent,
        a_grandchild_sees_its_parent_die,
        hooks_run_in_order_before_the_closure,
        an_exit_hook_of_c_does_not_run,
        a_foreign_fork_inside_the_closure_commits_nothing,
        a_handle_in_a_child_is_not_its_own,
        a_spawn_from_a_drop_while_unwinding,
        many_children_start_and_join,
        ten_thousand_spawns_leave_nothing,
        dropped_handles_leave_no_zombies,
        detached_children_go_on,
        descriptors_of_siblings_do_not_pile_up,
        threads_of_the_child_are_its_own,
        a_thread_object_not_started_is_usable_in_the_child,
        raw_fork_returns_twice,
        stop_is_seen,
        stop_in_a_process_that_nobody_asks,
        a_parent_that_was_forked_by_others_has_no_name,
        a_raw_fork_runs_the_hooks_and_is_known_to_have_run,
        a_spawn_in_the_middle_of_a_print,
        a_panic_in_a_child_of_an_unwinding_parent,
        a_spawn_reaps_what_was_dropped,
        slots_of_another_process_are_not_handed_out,
        a_child_begins_when_the_parents_captures_are_dropped,
        a_spawn_in_the_drop_of_a_capture,
        the_memory_of_a_result_is_not_kept_by_copies,
        a_hook_may_register_another,
    ]);
}

fn the_result_arrives() {
    assert_eq!(spawn(|| 6_u64 * 7).unwrap().join().unwrap(), 42);
    spawn(|| ()).unwrap().join().unwrap();
    assert_eq!(spawn(|| String::from("text")).unwrap().join().unwrap(), "text");
}

fn a_large_result_arrives() {
    for size in [0, 1, 4000, 4031, 4032, 4033, 5000, 3 << 20] {
        let text = spawn(|| "x".repeat(size)).unwrap().join().unwrap();
        assert_eq!(text.len(), size);
        assert!(text.bytes().all(|b| b == b'x'));
    }
}

fn captures_of_any_type_are_inherited() {
    // Neither Send, nor 'static, nor encodable.
    let shared = Rc::new(RefCell::new(vec![1_u64, 2, 3]));
    let also = Rc::clone(&shared);
    let local = [10_u64, 20];
    let closure: Box<dyn Fn(u64) -> u64> = Box::new(|x| x + 1);
    let sum = spawn(|| {
        also.borrow_mut().push(4);
        closure(also.borrow().iter().sum::<u64>() + local.iter().sum::<u64>())
    });
    assert_eq!(sum.unwrap().join().unwrap(), 41);
    assert_eq!(shared.borrow().len(), 3);
}

fn arguments_are_handed_over() {
    let length = spawn_with(String::from("four"), |text| text.len() as u64).unwrap();
    assert_eq!(length.join().unwrap(), 4);
}

fn a_childs_writes_stay_in_the_child() {
    static STATIC: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static LOCAL: Cell<u64> = const { Cell::new(0) });
    let mut heap = vec![0_u64; 100_000];
    let mut stack = [0_u64; 1000];
    let child = spawn(|| {
        heap.fill(1);
        stack.fill(1);
        STATIC.store(1, Ordering::SeqCst);
        LOCAL.with(|l| l.set(1));
        heap.iter().sum::<u64>() + stack.iter().sum::<u64>()
    });
    assert_eq!(child.unwrap().join().unwrap(), 101_000);
    assert!(heap.iter().chain(&stack).all(|&x| x == 0));
    assert_eq!(STATIC.load(Ordering::SeqCst) as u64 + LOCAL.with(Cell::get), 0);
}

/// The first way in which a naive fork of a closure is wrong: the child's panic unwinds into the parent's
/// frames, and a catch there goes on as a second copy of the program.
fn a_panic_never_leaves_the_child() {
    let here = std::process::id();
    let caught = std::panic::catch_unwind(|| spawn(|| -> u64 { panic!("as asked") }).unwrap().join());
    assert_eq!(std::process::id(), here, "the child went on in its caller's frames");
    match caught.expect("the panic is data in the parent") {
        Err(error @ JoinError::Panicked(_)) => {
            assert_eq!(error.ran(), Ran::Yes);
            let JoinError::Panicked(panic) = error else { unreachable!() };
            assert_eq!(panic.message, "as asked");
            assert!(panic.location.unwrap().file.ends_with("spawn.rs"));
        }
        other => panic!("{other:?}"),
    }
}

/// The second way: guards on the parent's stack are dropped in the child as well.
fn the_parents_guards_are_not_dropped_in_the_child() {
    struct Guard(String);
    impl Drop for Guard {
        fn drop(&mut self) {
            writeln!(std::fs::File::options().append(true).open(&self.0).unwrap(), "{}", std::process::id()).unwrap();
        }
    }
    let file = support::TempFile::new("guards");
    let path = file.path().to_owned();
    let guard = Guard(path.clone());
    spawn(|| 1_u64).unwrap().join().unwrap();
    assert!(spawn(|| -> u64 { panic!("as asked") }).unwrap().join().is_err());
    assert!(spawn(|| -> u64 { std::process::exit(0) }).unwrap().join().is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    drop(guard);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
}

/// The third way: what was buffered before the fork is written by both.
fn buffered_stdout_appears_once() {
    let output = support::output_of(|| {
        print!("before ");
        // SAFETY: a literal with no directives.
        unsafe { libc::printf(c"c-before ".as_ptr()) };
        spawn(|| print!("child ")).unwrap().join().unwrap();
        println!("after");
    });
    for (word, times) in [("before", 2), ("c-before", 1), ("child", 1), ("after", 1)] {
        assert_eq!(output.matches(word).count(), times, "{word} in {output:?}");
    }
}

fn what_the_child_prints_without_newline_appears() {
    let output = support::output_of(|| {
        let _ = spawn(|| -> u64 {
            print!("last words");
            // SAFETY: a literal with no directives.
            unsafe { libc::printf(c" of c".as_ptr()) };
            panic!("as asked")
        })
        .unwrap()
        .join();
    });
    assert!(output.contains("last words") && output.contains(" of c"), "{output:?}");
}

fn a_broken_stdout_does_not_change_the_result() {
    // A pipe that nobody reads, and a stdout that is closed.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = Builder::new().stdout(std::os::fd::OwnedFd::from(writer)).spawn(|| {
        print!("nobody hears this");
        7_u64
    });
    assert_eq!(child.unwrap().join().unwrap(), 7);
    let child = spawn(|| {
        print!("nor this");
        // SAFETY: the child's own descriptor; nothing in it opens another.
        unsafe { libc::close(1) };
        8_u64
    });
    assert_eq!(child.unwrap().join().unwrap(), 8);
}

/// Counts its drops by process, in a file.
struct Drops(String);

impl Drop for Drops {
    fn drop(&mut self) {
        writeln!(std::fs::File::options().append(true).open(&self.0).unwrap(), "{}", std::process::id()).unwrap();
    }
}

impl Drops {
    fn counted(path: &str, child: u32) -> (usize, usize) {
        let text = std::fs::read_to_string(path).unwrap();
        let by = |pid: u32| text.lines().filter(|l| *l == pid.to_string()).count();
        (by(std::process::id()), by(child))
    }
}

fn captures_are_dropped_in_both() {
    let file = support::TempFile::new("drops");
    let drops = Drops(file.path().into());
    let child = spawn(move || drops.0.len() as u64).unwrap();
    let pid = child.id();
    child.join().unwrap();
    assert_eq!(Drops::counted(file.path(), pid), (1, 1));
}

fn moved_captures_are_dropped_in_the_child_only() {
    let file = support::TempFile::new("drops");
    let drops = Moved(Drops(file.path().into()));
    let child = spawn(move || drops.0.len() as u64).unwrap();
    let pid = child.id();
    child.join().unwrap();
    assert_eq!(Drops::counted(file.path(), pid), (0, 1));
}

/// A child that is made while its parent drops what another child took is not itself handing anything over.
fn moved_values_are_dropped_in_a_child_of_a_hand_over() {
    struct Spawns(u32, String);
    impl Drop for Spawns {
        fn drop(&mut self) {
            if std::process::id() == self.0 {
                let drops = Drops(self.1.clone());
                spawn(move || drop(Moved(drops))).unwrap().join().unwrap();
            }
        }
    }
    let file = support::TempFile::new("drops");
    let spawns = Spawns(std::process::id(), file.path().into());
    spawn(move || drop(spawns)).unwrap().join().unwrap();
    // One drop each, as of any capture: of `drops` by this process, of the `Moved` by the child.
    assert_eq!(std::fs::read_to_string(file.path()).unwrap().lines().count(), 2);
}

fn moved_values_are_dropped_when_the_spawn_fails() {
    let file = support::TempFile::new("drops");
    let drops = Moved(Drops(file.path().into()));
    let failed = Builder::new().name("nul\0").spawn(move || drops.0.len() as u64);
    assert!(matches!(failed, Err(SpawnError::Setup { .. })));
    assert_eq!(Drops::counted(file.path(), 0), (1, 0));
    drop(Moved(Drops(file.path().into())));
    drop(Moved(Drops(file.path().into())).into_inner());
    assert_eq!(Drops::counted(file.path(), 0), (3, 0));
}

fn kept_captures_are_dropped_after_the_child() {
    let file = support::TempFile::new("drops");
    let drops = Drops(file.path().into());
    let path = file.path().to_owned();
    let child = Builder::new().keep_captures().spawn(move || drops.0.len() as u64).unwrap();
    let pid = child.id();
    child.wait().unwrap();
    assert_eq!(Drops::counted(&path, pid), (0, 1));
    child.join().unwrap();
    assert_eq!(Drops::counted(&path, pid), (1, 1));
}

fn a_panicking_capture_drop_is_the_parents_own() {
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if std::process::id() == self.0 {
                panic!("dropped in the parent");
            }
        }
    }
    let file = support::TempFile::new("ran");
    let path = file.path().to_owned();
    let bomb = Bomb(std::process::id());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        spawn(move || {
            let _bomb = &bomb;
            std::fs::write(&path, "ran").unwrap();
        })
    }));
    assert!(panicked.is_err());
    // The child was let go all the same, and runs to its end.
    support::until("the child has run", || std::fs::read_to_string(file.path()).unwrap() == "ran");
    support::until("the child is reaped by a later spawn", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

fn the_closure_comes_back_when_the_spawn_fails() {
    let text = String::from("mine");
    let (error, closure) = Builder::new().dir("/nowhere/at/all").try_spawn(move || text).unwrap_err();
    let SpawnError::Setup { what, source } = error else { panic!("{error:?}") };
    assert!(what.contains("/nowhere/at/all"), "{what}");
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(closure(), "mine");
}

fn children_of_children_of_children() {
    fn depth(n: u64) -> u64 {
        if n == 0 { 0 } else { 1 + spawn(|| depth(n - 1)).unwrap().join().unwrap() }
    }
    assert_eq!(depth(6), 6);
    // Two children each, three deep, in order.
    fn tree(n: u64) -> String {
        if n == 0 {
            return "x".into();
        }
        let (left, right) = (spawn(|| tree(n - 1)).unwrap(), spawn(|| tree(n - 1)).unwrap());
        format!("({}{n}{})", left.join().unwrap(), right.join().unwrap())
    }
    assert_eq!(tree(3), "(((x1x)2(x1x))3((x1x)2(x1x)))");
}

fn a_child_knows_its_parent() {
    assert!(parent().is_none());
    let here = std::process::id();
    let child = Builder::new().name("the middle one").spawn(move || {
        let mine = parent().unwrap();
        assert_eq!((mine.id(), mine.name(), mine.is_alive()), (here, None, true));
        assert!(!mine.wait_timeout(Duration::ZERO).unwrap());
        spawn(|| parent().unwrap().name().unwrap().to_owned()).unwrap().join().unwrap()
    });
    assert_eq!(child.unwrap().join().unwrap(), "the middle one");
}

fn a_grandchild_sees_its_parent_die() {
    let (reader, writer) = std::io::pipe().unwrap();
    let (told, tell) = std::io::pipe().unwrap();
    let middle = spawn(move || {
        let grandchild = Builder::new()
            .die_with_parent(false)
            .spawn(move || {
                let parent = parent().unwrap();
                let alive = parent.is_alive();
                (&writer).write_all(b"here").unwrap();
                let died = parent.wait_timeout(Duration::from_secs(20)).unwrap();
                let last = (alive, died, parent.is_alive(), parent.wait_timeout(Duration::from_secs(20)).unwrap());
                write!(&tell, "{last:?}").unwrap();
            })
            .unwrap();
        grandchild.wait().unwrap();
    })
    .unwrap();
    let mut here = [0; 4];
    std::io::Read::read_exact(&mut &reader, &mut here).unwrap();
    middle.kill().unwrap();
    assert_eq!(middle.wait().unwrap().cause, Cause::Signal(tine::process::Signal::KILL));
    assert_eq!(std::io::read_to_string(told).unwrap(), "(true, true, false, true)");
}

fn hooks_run_in_order_before_the_closure() {
    static ORDER: AtomicUsize = AtomicUsize::new(0);
    after_fork_in_child(|| ORDER.store(ORDER.load(Ordering::SeqCst) * 10 + 1, Ordering::SeqCst));
    after_fork_in_child(|| ORDER.store(ORDER.load(Ordering::SeqCst) * 10 + 2, Ordering::SeqCst));
    let here = || ORDER.load(Ordering::SeqCst) as u64;
    assert_eq!(spawn(here).unwrap().join().unwrap(), 12);
    let twice = spawn(move || spawn(here).unwrap().join().unwrap()).unwrap();
    assert_eq!(twice.join().unwrap(), 1212);
    assert_eq!(here(), 0);
}

fn an_exit_hook_of_c_does_not_run() {
    extern "C" fn hook() {
        // Past the buffer, which nobody would write out any more.
        let _ = rustix::io::write(std::io::stdout(), b"exit hook ");
    }
    let output = support::output_of(|| {
        // SAFETY: `hook` takes nothing and lives for ever.
        unsafe { libc::atexit(hook) };
        spawn(|| ()).unwrap().join().unwrap();
        print!("parent ");
    });
    assert_eq!(output.matches("exit hook").count(), 0, "{output:?}");
}

fn a_foreign_fork_inside_the_closure_commits_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    let child = spawn(move || {
        // SAFETY: a child has one thread. Both sides return from the closure, which is the point.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(writer);
            return 666_u64;
        }
        let mut status = 0;
        // SAFETY: our own child and a live int.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        writeln!(&writer, "{}", status).unwrap();
        42
    });
    let child = child.unwrap();
    assert_eq!(child.join().unwrap(), 42);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "0\n", "the stray copy ended by _exit(0)");
    // Nor where the child itself commits nothing.
    let child = spawn(|| {
        // SAFETY: as above.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            return 666_u64;
        }
        // SAFETY: our own child; a null status is not written. Then this process ends without a result.
        unsafe {
            libc::waitpid(pid, std::ptr::null_mut(), 0);
            libc::_exit(3)
        }
    });
    let joined = child.unwrap().join();
    assert!(matches!(&joined, Err(JoinError::Died(exit)) if exit.cause == Cause::Code(3)), "{joined:?}");

    // A copy that ends last would have the last word, were it let: it waits until the first process is dead.
    let (gate, mut opens) = std::io::pipe().unwrap();
    let (told, tell) = std::io::pipe().unwrap();
    let child = spawn(|| {
        // SAFETY: as above.
        if unsafe { libc::fork() } == 0 {
            std::io::Read::read_exact(&mut &gate, &mut [0]).unwrap();
            return 666_u64;
        }
        42
    });
    let child = child.unwrap();
    child.wait().unwrap();
    opens.write_all(b"!").unwrap();
    drop(tell);
    assert_eq!(std::io::read_to_string(told).unwrap(), "", "ends when the copy has ended");
    assert_eq!(child.join().unwrap(), 42);
}

fn a_handle_in_a_child_is_not_its_own() {
    let child = spawn(|| {
        stop().wait();
        5_u64
    })
    .unwrap();
    let answer = spawn(|| {
        // Used, then dropped: neither waits for the sibling, nor signals it, nor reaps it.
        assert!(child.wait().is_err() && child.kill().is_err() && child.kill_tree().is_err());
        assert!(child.request_stop().is_err() && child.try_wait().is_err() && child.shutdown(Duration::ZERO).is_err());
        match child.join() {
            Err(JoinError::NotOwner) => String::from("not mine"),
            other => format!("{other:?}"),
        }
    });
    // `child` went into the closure by value: the parent's copy was dropped there, so the sibling is abandoned
    // here; it ends with this process's own end. Ask it to end now.
    assert_eq!(answer.unwrap().join().unwrap(), "not mine");
    for pid in support::children() {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    support::until("it is reaped by a later spawn", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

fn a_spawn_from_a_drop_while_unwinding() {
    struct Spawns(Rc<Cell<u64>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            self.0.set(spawn(|| 9_u64).unwrap().join().unwrap());
        }
    }
    let seen = Rc::new(Cell::new(0));
    let spawns = Spawns(Rc::clone(&seen));
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _spawns = spawns;
        panic!("as asked")
    }));
    assert_eq!(seen.get(), 9);
}

fn many_children_start_and_join() {
    let children: Vec<_> = (0..100_u64).map(|n| spawn(move || n * n).unwrap()).collect();
    for (n, child) in children.into_iter().enumerate() {
        assert_eq!(child.join().unwrap(), (n * n) as u64);
    }
}

fn ten_thousand_spawns_leave_nothing() {
    // The first few map what stays.
    for _ in 0..4 {
        spawn(|| 1_u64).unwrap().join().unwrap();
    }
    let before = (support::descriptors(), support::all_mappings());
    for n in 0..10_000_u64 {
        assert_eq!(spawn(move || n).unwrap().join().unwrap(), n);
    }
    assert_eq!(before, (support::descriptors(), support::all_mappings()));
    assert!(support::children().is_empty());
}

fn dropped_handles_leave_no_zombies() {
    for _ in 0..500 {
        drop(spawn(|| ()).unwrap());
        assert!(support::children().len() <= 64, "zombies pile up");
    }
    support::until("the last are reaped by later spawns", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

fn detached_children_go_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    let (go_on, gate) = std::io::pipe().unwrap();
    spawn(move || {
        drop(gate);
        std::io::read_to_string(go_on).unwrap();
        (&writer).write_all(b"done").unwrap();
    })
    .unwrap()
    .detach();
    // The parent's ends went with the closure, so the gate is open as soon as it is dropped there.
    assert_eq!(std::io::read_to_string(reader).unwrap(), "done");
    support::until("it is reaped by a later spawn", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

fn descriptors_of_siblings_do_not_pile_up() {
    // Numbers stay taken, since copies of handles name them; what they referred to is let go.
    let held = || support::descriptors().into_iter().filter(|(_, what)| what != "/dev/null").count() as u64;
    let count = || spawn(held).unwrap().join().unwrap();
    let alone = count();
    let siblings: Vec<_> = (0..20).map(|_| spawn(|| stop().wait()).unwrap()).collect();
    let among_twenty = count();
    assert_eq!(alone, among_twenty);
    for sibling in &siblings {
        sibling.request_stop().unwrap();
    }
    for sibling in siblings {
        sibling.join().unwrap();
    }
    // Of those whose handles were dropped not even the numbers stay: nothing names them any more.
    let all = || spawn(|| support::descriptors().len() as u64).unwrap().join().unwrap();
    let alone = all();
    let (go_on, gate) = std::io::pipe().unwrap();
    for _ in 0..20 {
        drop(spawn(|| std::io::Read::read(&mut &go_on, &mut [0]).is_ok()).unwrap());
    }
    assert_eq!(all(), alone + 2, "more than the pipe");
    (&gate).write_all(&[0; 20]).unwrap();
    support::until("they are reaped by later spawns", || {
        spawn(|| ()).unwrap().join().unwrap();
        support::children().is_empty()
    });
}

fn threads_of_the_child_are_its_own() {
    let child = spawn(|| {
        let threads: Vec<_> = (0..4_u64).map(|n| std::thread::spawn(move || n)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
    });
    assert_eq!(child.unwrap().join().unwrap(), 6);
    // A thread that is still busy does not hold up the end of the child, as it does not hold up main's.
    let child = spawn(|| {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
        1_u64
    });
    assert_eq!(child.unwrap().join().unwrap(), 1);
}

fn a_thread_object_not_started_is_usable_in_the_child() {
    let builder = std::thread::Builder::new().name("later".into());
    let name = spawn(move || {
        let thread = builder.spawn(|| std::thread::current().name().unwrap().to_owned()).unwrap();
        thread.join().unwrap()
    });
    assert_eq!(name.unwrap().join().unwrap(), "later");
}

fn raw_fork_returns_twice() {
    // SAFETY: a case has one thread, and the child ends here.
    match unsafe { raw::fork() }.unwrap() {
        raw::Fork::Child => {
            let code = if parent().is_some() && stop().wait_timeout(Duration::from_secs(20)) { 7 } else { 8 };
            // SAFETY: ends the child without the parent's destructors.
            unsafe { libc::_exit(code) }
        }
        raw::Fork::Parent(child) => {
            child.request_stop().unwrap();
            assert_eq!(child.wait().unwrap().cause, Cause::Code(7));
        }
    }
}

fn stop_is_seen() {
    let child = spawn(|| {
        stop().wait();
        stop().is_requested() && stop().wait_timeout(Duration::from_secs(20))
    });
    let child = child.unwrap();
    child.request_stop().unwrap();
    assert!(child.join().unwrap());
}

fn stop_in_a_process_that_nobody_asks() {
    assert!(!stop().is_requested());
    assert!(!stop().wait_timeout(Duration::from_millis(1)));
}

fn a_parent_that_was_forked_by_others_has_no_name() {
    let child = Builder::new().name("the middle one").spawn(|| {
        let status = support::in_child(|| {
            let name = spawn(|| parent().unwrap().name().map(str::to_owned)).unwrap();
            assert_eq!(name.join().unwrap(), None);
        });
        assert_eq!(status.code(), Some(0));
    });
    child.unwrap().join().unwrap();
}

fn a_raw_fork_runs_the_hooks_and_is_known_to_have_run() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    after_fork_in_child(|| RAN.store(RAN.load(Ordering::SeqCst) + 1, Ordering::SeqCst));
    // SAFETY: a case has one thread, and the child ends here.
    match unsafe { raw::fork() }.unwrap() {
        // SAFETY: ends the child without the parent's destructors.
        raw::Fork::Child => unsafe { libc::_exit(RAN.load(Ordering::SeqCst) as i32) },
        raw::Fork::Parent(child) => {
            let exit = child.wait().unwrap();
            assert_eq!((exit.cause, exit.ran), (Cause::Code(1), Ran::Unknown));
        }
    }
    assert_eq!(RAN.load(Ordering::SeqCst), 0);
}

fn a_spawn_in_the_middle_of_a_print() {
    struct Sum;
    impl std::fmt::Display for Sum {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            // This thread holds the lock of stdout, and has written half a line.
            write!(f, "{}", spawn(prints).unwrap().join().unwrap())
        }
    }
    fn prints() -> u64 {
        print!("child ");
        42
    }
    let output = support::output_of(|| {
        let held = std::io::stdout().lock();
        println!("before {Sum} after");
        drop(held);
    });
    assert_eq!(output, "before child 42 after\n");
}

fn a_panic_in_a_child_of_an_unwinding_parent() {
    struct Spawns(Rc<RefCell<String>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let Err(JoinError::Panicked(panic)) = spawn(|| -> u64 { panic!("the child's") }).unwrap().join() else {
                panic!("not a panic")
            };
            *self.0.borrow_mut() = panic.message;
        }
    }
    let seen = Rc::new(RefCell::new(String::new()));
    let spawns = Spawns(Rc::clone(&seen));
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _spawns = spawns;
        panic!("the parent's")
    }));
    assert_eq!(*seen.borrow(), "the child's");
}

fn a_spawn_reaps_what_was_dropped() {
    let (go_on, gate) = std::io::pipe().unwrap();
    for _ in 0..3 {
        drop(spawn(|| std::io::Read::read(&mut &go_on, &mut [0]).is_ok()).unwrap());
    }
    // The children hold the pipe's other end as well: a byte for each.
    (&gate).write_all(b"...").unwrap();
    for child in support::children() {
        let stat = format!("/proc/{}/stat", child.as_raw_nonzero());
        support::until("it has ended", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));
    }
    let kept = spawn(|| stop().wait()).unwrap();
    assert_eq!(support::children().len(), 1, "zombies are left");
    kept.request_stop().unwrap();
    kept.join().unwrap();
}

/// A copy of this process that was forked by other means sees the same abandoned child end. Its slot is not the
/// copy's to hand out: this process does so too, and one child would write into the slot of another.
fn slots_of_another_process_are_not_handed_out() {
    let abandoned = spawn(|| stop().wait()).unwrap();
    let pid = rustix::process::Pid::from_raw(abandoned.id() as i32).unwrap();
    drop(abandoned);
    let (mut is_up, up) = std::io::pipe().unwrap();
    let (mut gate, go_on) = std::io::pipe().unwrap();
    let (mut is_done, done) = std::io::pipe().unwrap();
    // SAFETY: a case has one thread; the copy ends here.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        rustix::process::kill_process(pid, tine::process::Signal::KILL).unwrap();
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        support::until("it has ended", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));
        let child = spawn(|| {
            (&up).write_all(b"!").unwrap();
            std::io::Read::read_exact(&mut gate, &mut [0]).unwrap();
            666_u64
        });
        assert_eq!(child.unwrap().join().unwrap(), 666);
        (&done).write_all(b"!").unwrap();
        // SAFETY: ends the copy without this process's destructors.
        unsafe { libc::_exit(0) }
    }
    std::io::Read::read_exact(&mut is_up, &mut [0]).unwrap();
    let child = spawn(|| -> u64 {
        (&go_on).write_all(b"!").unwrap();
        std::io::Read::read_exact(&mut is_done, &mut [0]).unwrap();
        // SAFETY: ends the child without a result.
        unsafe { libc::_exit(3) }
    });
    let joined = child.unwrap().join();
    assert!(matches!(&joined, Err(JoinError::Died(exit)) if exit.cause == Cause::Code(3)), "{joined:?}");
    let copy = rustix::process::Pid::from_raw(copy);
    rustix::process::waitpid(copy, rustix::process::WaitOptions::empty()).unwrap();
}

fn a_child_begins_when_the_parents_captures_are_dropped() {
    use std::sync::atomic::AtomicU32;
    let flags = tine::Shared::<[AtomicU32]>::from_fn(2, |_| 0.into()).unwrap();
    struct Slow(tine::Shared<[AtomicU32]>, u32);
    impl Drop for Slow {
        fn drop(&mut self) {
            let start = std::time::Instant::now();
            // A child that was let go early would be here long before.
            while std::process::id() == self.1 && start.elapsed() < Duration::from_millis(100) {
                if self.0[0].load(Ordering::SeqCst) == 1 {
                    return;
                }
                std::thread::yield_now();
            }
            self.0[1].store(1, Ordering::SeqCst);
        }
    }
    let slow = Slow(flags.clone(), std::process::id());
    let child = spawn(move || {
        let _slow = &slow;
        flags[0].store(1, Ordering::SeqCst);
        flags[1].load(Ordering::SeqCst)
    });
    assert_eq!(child.unwrap().join().unwrap(), 1, "the child began before");
}

/// What drops a child's captures may spawn another child. That one has handed over nothing.
fn a_spawn_in_the_drop_of_a_capture() {
    let file = support::TempFile::new("drops");
    struct Spawns(String, u32);
    impl Drop for Spawns {
        fn drop(&mut self) {
            if std::process::id() == self.1 {
                let path = self.0.clone();
                let inner = spawn(move || {
                    drop(Moved(Drops(path)));
                    9_u64
                });
                assert_eq!(inner.unwrap().join().unwrap(), 9);
            }
        }
    }
    let spawns = Spawns(file.path().to_owned(), std::process::id());
    let child = spawn(move || spawns.0.len() as u64).unwrap();
    assert_eq!(child.join().unwrap(), file.path().len() as u64);
    assert_eq!(std::fs::read_to_string(file.path()).unwrap().lines().count(), 1, "the inner child's drop did nothing");
}

/// A copy of this process that was forked by other means has all its descriptors, and may live for long.
fn the_memory_of_a_result_is_not_kept_by_copies() {
    let child = spawn(|| "x".repeat(1 << 20)).unwrap();
    let (mut gate, go_on) = std::io::pipe().unwrap();
    // SAFETY: a case has one thread; the copy ends here.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        drop(go_on);
        let _ = std::io::Read::read(&mut gate, &mut [0]);
        let results = support::descriptors().into_iter().filter(|(_, what)| what.contains("tine-result"));
        let sizes: Vec<u64> =
            results.map(|(number, _)| std::fs::metadata(format!("/proc/self/fd/{number}")).unwrap().len()).collect();
        // SAFETY: ends the copy without this process's destructors.
        unsafe { libc::_exit(if sizes == [0] { 0 } else { 1 }) }
    }
    assert_eq!(child.join().unwrap().len(), 1 << 20);
    drop(go_on);
    let copy = rustix::process::Pid::from_raw(copy);
    let status = rustix::process::waitpid(copy, rustix::process::WaitOptions::empty()).unwrap().unwrap().1;
    assert_eq!(status.exit_status(), Some(0), "the result is still in memory");
}

fn a_hook_may_register_another() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    fn counts() {
        COUNT.store(COUNT.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    }
    after_fork_in_child(|| after_fork_in_child(counts));
    let count = || COUNT.load(Ordering::SeqCst) as u64;
    assert_eq!(spawn(count).unwrap().join().unwrap(), 0, "it is for the children of the child");
    assert_eq!(spawn(move || spawn(count).unwrap().join().unwrap()).unwrap().join().unwrap(), 1);
}
