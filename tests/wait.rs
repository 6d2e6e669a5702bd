//! Waiting for the first of several: children, events, the stop flag, descriptors.

#[path = "support/refuse.rs"]
mod refuse;
#[path = "support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use refuse::refuse_call;
use support::{in_child, until};
use tine::process::{Builder, Signal, stop};
use tine::sync::Event;
use tine::{JoinHandle, Shared, wait};

fn main() {
    support::run(cases![
        the_first_that_is_ready_is_named,
        a_limit_of_zero_only_looks,
        nothing_to_wait_for,
        a_child_that_ends_wakes_its_parent,
        an_event_set_by_another_process_wakes,
        an_event_wakes_who_sleeps_on_descriptors_too,
        the_stop_flag_wakes_who_sleeps_on_descriptors_too,
        a_descriptor_wakes_who_waits_for_events_too,
        one_of_many_events_wakes,
        many_waiters_are_all_woken,
        a_descriptor_that_can_be_written,
        a_closed_end_is_ready,
        a_handle_of_the_parent_is_no_handle_of_the_child,
        signals_do_not_end_a_wait,
        nothing_is_left_behind,
        it_works_without_the_call_for_several_words,
        it_works_where_no_bell_can_be_hung,
        a_setter_that_is_killed_leaves_the_event_set,
        a_message_in_a_queue_wakes,
        the_end_of_a_queue_wakes,
    ]);
}

const LONG: Option<Duration> = Some(Duration::from_secs(20));

fn until_in<T: tine::wire::Wire>(child: &JoinHandle<T>, call: libc::c_long) {
    until("it sleeps", || {
        let now = std::fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap_or_default();
        now.split(' ').next().and_then(|number| number.parse().ok()) == Some(call)
    });
}

fn the_first_that_is_ready_is_named() {
    let (a, b) = (Shared::new(Event::new()).unwrap(), Shared::new(Event::new()).unwrap());
    let (reader, mut writer) = std::io::pipe().unwrap();
    b.set();
    assert_eq!(wait(&[&*a, &reader, &*b], LONG).unwrap(), Some(2));
    writer.write_all(b"x").unwrap();
    assert_eq!(wait(&[&*a, &reader, &*b], LONG).unwrap(), Some(1));
    a.set();
    assert_eq!(wait(&[&*a, &reader, &*b], LONG).unwrap(), Some(0));
    assert_eq!(wait(&[&*b, &*a], LONG).unwrap(), Some(0));
    b.clear();
    assert_eq!(wait(&[&*b, &*a], LONG).unwrap(), Some(1));
    let child = tine::spawn(|| ()).unwrap();
    child.wait().unwrap();
    a.clear();
    assert_eq!(wait(&[&*a, &child], LONG).unwrap(), Some(1));
    assert_eq!(wait(&[&*a, &child], LONG).unwrap(), Some(1), "it is consumed by nothing but its join");
    child.join().unwrap();
}

fn a_limit_of_zero_only_looks() {
    let event = Shared::new(Event::new()).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    for limit in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(120)] {
        let start = Instant::now();
        assert_eq!(wait(&[&*event], Some(limit)).unwrap(), None);
        assert!(start.elapsed() >= limit, "it came back early");
        let start = Instant::now();
        assert_eq!(wait(&[&reader], Some(limit)).unwrap(), None);
        assert_eq!(wait(&[&reader, &*event], Some(limit)).unwrap(), None);
        assert!(start.elapsed() >= 2 * limit, "it came back early");
    }
}

fn nothing_to_wait_for() {
    assert_eq!(wait(&[], None).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(wait(&[], Some(Duration::from_millis(1))).unwrap(), None);
    assert_eq!(wait(&[stop()], Some(Duration::from_millis(1))).unwrap(), None, "nobody asks this process");
}

fn a_child_that_ends_wakes_its_parent() {
    let gate = Shared::new(Event::new()).unwrap();
    let event = Shared::new(Event::new()).unwrap();
    for _ in 0..20 {
        gate.clear();
        let children = [1, 2].map(|number| {
            let gate = gate.clone();
            tine::spawn(move || if number == 2 { gate.wait() } else { stop().wait() }).unwrap()
        });
        let [first, second] = &children;
        gate.set();
        assert_eq!(wait(&[first, &*event, second], LONG).unwrap(), Some(2));
        first.kill().unwrap();
        assert_eq!(wait(&[first, &*event], LONG).unwrap(), Some(0));
        for child in children {
            let _ = child.join();
        }
    }
}

/// A child that waits for what `items` makes, and tells the place.
fn waiter(items: impl FnOnce() -> Option<usize>) -> JoinHandle<u64> {
    tine::spawn(|| items().map_or(u64::MAX, |place| place as u64)).unwrap()
}

fn an_event_set_by_another_process_wakes() {
    let events = Shared::<[Event]>::from_fn(3, |_| Event::new()).unwrap();
    for round in 0..50 {
        let child = waiter(|| wait(&[&events[0], &events[1], &events[2], stop()], LONG).unwrap());
        until_in(&child, libc::SYS_futex_waitv);
        events[round % 3].set();
        assert_eq!(child.join().unwrap(), round as u64 % 3);
        events[round % 3].clear();
    }
}

fn an_event_wakes_who_sleeps_on_descriptors_too() {
    let event = Shared::new(Event::new()).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    for _ in 0..50 {
        let child = waiter(|| wait(&[&reader, &*event], LONG).unwrap());
        until_in(&child, libc::SYS_ppoll);
        event.set();
        assert_eq!(child.join().unwrap(), 1);
        event.clear();
    }
}

fn the_stop_flag_wakes_who_sleeps_on_descriptors_too() {
    let (reader, _writer) = std::io::pipe().unwrap();
    for _ in 0..20 {
        let child = waiter(|| wait(&[&reader, stop()], LONG).unwrap());
        until_in(&child, libc::SYS_ppoll);
        child.request_stop().unwrap();
        assert_eq!(child.join().unwrap(), 1);
    }
    // Raised by its own deadline, in a handler of its own.
    let child = Builder::new()
        .timeout(Duration::from_millis(50))
        .grace(Duration::from_secs(30))
        .spawn(|| wait(&[&reader, stop()], LONG).unwrap() == Some(1))
        .unwrap();
    assert!(child.join().unwrap());
}

fn a_descriptor_wakes_who_waits_for_events_too() {
    let event = Shared::new(Event::new()).unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    for _ in 0..20 {
        let child = waiter(|| wait(&[&*event, stop(), &reader], LONG).unwrap());
        until_in(&child, libc::SYS_ppoll);
        writer.write_all(b"x").unwrap();
        assert_eq!(child.join().unwrap(), 2);
        reader.read_exact(&mut [0]).unwrap();
    }
}

fn one_of_many_events_wakes() {
    // More than one call sleeps on.
    let events = Shared::<[Event]>::from_fn(200, |_| Event::new()).unwrap();
    let all: Vec<&dyn tine::wait::Ready> = events.iter().map(|event| event as _).collect();
    for place in [0, 15, 16, 31, 32, 199] {
        let child = waiter(|| wait(&all, LONG).unwrap());
        until_in(&child, libc::SYS_ppoll);
        events[place].set();
        assert_eq!(child.join().unwrap(), place as u64);
        events[place].clear();
    }
}

fn many_waiters_are_all_woken() {
    let event = Shared::new(Event::new()).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let in_poll: Vec<_> = (0..5).map(|_| waiter(|| wait(&[&reader, &*event], LONG).unwrap())).collect();
    let on_words: Vec<_> = (0..5).map(|_| waiter(|| wait(&[stop(), &*event], LONG).unwrap())).collect();
    in_poll.iter().for_each(|child| until_in(child, libc::SYS_ppoll));
    on_words.iter().for_each(|child| until_in(child, libc::SYS_futex_waitv));
    event.set();
    for child in in_poll.into_iter().chain(on_words) {
        assert_eq!(child.join().unwrap(), 1);
    }
}

fn a_descriptor_that_can_be_written() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    assert_eq!(wait(&[&tine::wait::writable(&writer)], LONG).unwrap(), Some(0));
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    while (&writer).write(&[0; 4096]).is_ok() {}
    let event = Shared::new(Event::new()).unwrap();
    assert_eq!(wait(&[&tine::wait::writable(&writer), &*event], Some(Duration::ZERO)).unwrap(), None);
    reader.read_exact(&mut vec![0; 64 * 1024]).unwrap();
    assert_eq!(wait(&[&tine::wait::writable(&writer), &*event], LONG).unwrap(), Some(0));
}

fn a_closed_end_is_ready() {
    let event = Shared::new(Event::new()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(writer);
    assert_eq!(wait(&[&*event, &reader], LONG).unwrap(), Some(1));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(wait(&[&*event, &tine::wait::writable(&writer)], LONG).unwrap(), Some(1));
}

fn a_handle_of_the_parent_is_no_handle_of_the_child() {
    let first = tine::spawn(|| stop().wait()).unwrap();
    let second = tine::spawn(|| wait(&[&first], LONG).unwrap_err().kind() == std::io::ErrorKind::InvalidInput).unwrap();
    assert!(second.join().unwrap());
    first.request_stop().unwrap();
    first.join().unwrap();
}

fn signals_do_not_end_a_wait() {
    extern "C" fn nothing(_: i32) {}
    let event = Shared::new(Event::new()).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    for mixed in [false, true] {
        let child = waiter(|| {
            // SAFETY: a handler that does nothing.
            unsafe {
                let mut action = std::mem::zeroed::<libc::sigaction>();
                action.sa_sigaction = nothing as *const () as usize;
                assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
            }
            event.set();
            event.wait();
            event.clear();
            match mixed {
                true => wait(&[&reader, &*event], LONG).unwrap(),
                false => wait(&[stop(), &*event], LONG).unwrap(),
            }
        });
        until_in(&child, if mixed { libc::SYS_ppoll } else { libc::SYS_futex_waitv });
        for _ in 0..200 {
            child.signal(Signal::USR1).unwrap();
        }
        until_in(&child, if mixed { libc::SYS_ppoll } else { libc::SYS_futex_waitv });
        event.set();
        assert_eq!(child.join().unwrap(), 1);
        event.clear();
    }
}

fn nothing_is_left_behind() {
    // The names of sockets are the network namespace's: in one of its own, those are not seen of whoever else waits just now.
    // SAFETY: takes flags; the case is a process of its own, and nothing in it uses the network.
    let alone = unsafe {
        libc::unshare(libc::CLONE_NEWNET) == 0 || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) == 0
    };
    let event = Shared::new(Event::new()).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let before = support::descriptors();
    for _ in 0..100 {
        assert_eq!(wait(&[&reader, &*event], Some(Duration::from_micros(50))).unwrap(), None);
    }
    assert_eq!(support::descriptors(), before);
    let names = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    assert!(!alone || !names.contains("tine-bell"), "{names}");
}

fn it_works_without_the_call_for_several_words() {
    let status = in_child(|| {
        refuse_call(libc::SYS_futex_waitv, None, libc::ENOSYS);
        let events = Shared::<[Event]>::from_fn(3, |_| Event::new()).unwrap();
        for place in 0..3 {
            let child = waiter(|| wait(&[&events[0], &events[1], &events[2]], LONG).unwrap());
            until_in(&child, libc::SYS_futex);
            events[place].set();
            assert_eq!(child.join().unwrap(), place as u64);
            events[place].clear();
        }
    });
    assert!(status.success());
}

fn it_works_where_no_bell_can_be_hung() {
    let status = in_child(|| {
        let event = Shared::new(Event::new()).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        refuse_call(libc::SYS_bind, None, libc::EPERM);
        let error = wait(&[&reader, &*event], Some(Duration::ZERO));
        assert_eq!(error.unwrap(), None, "to look takes no bell");
        assert_eq!(wait(&[&reader, &*event], LONG).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        writer.write_all(b"x").unwrap();
        assert_eq!(wait(&[&reader], LONG).unwrap(), Some(0), "descriptors alone need none");
    });
    assert!(status.success());
}

fn a_setter_that_is_killed_leaves_the_event_set() {
    let event = Shared::new(Event::new()).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let child = tine::spawn(|| -> u8 {
        event.set();
        std::process::abort();
    })
    .unwrap();
    assert_eq!(wait(&[&reader, &*event], LONG).unwrap(), Some(1));
    let _ = child.join();
}

/// On words alone, and in poll.
fn a_message_in_a_queue_wakes() {
    let (pipe, _writer) = std::io::pipe().unwrap();
    for with_a_descriptor in [false, true] {
        let (tx, rx) = tine::channel::<String>(4).unwrap();
        let (_idle_tx, idle) = tine::channel::<u8>(4).unwrap();
        assert_eq!(wait(&[&idle, &rx], Some(Duration::ZERO)).unwrap(), None);
        let child = tine::spawn(|| {
            // Both are this process's now.
            let (idle, rx) = (idle, rx);
            let which = if with_a_descriptor { wait(&[&pipe, &idle, &rx], LONG) } else { wait(&[&idle, &rx], LONG) };
            (which.unwrap().map(|which| which - usize::from(with_a_descriptor)), rx.try_recv().ok())
        })
        .unwrap();
        until_in(&child, if with_a_descriptor { libc::SYS_ppoll } else { libc::SYS_futex_waitv });
        tx.send("awake".into()).unwrap();
        assert_eq!(child.join().unwrap(), (Some(1), Some("awake".to_owned())));
    }
}

fn the_end_of_a_queue_wakes() {
    for is_killed in [false, true] {
        let (tx, rx) = tine::channel::<u8>(4).unwrap();
        let sender = tine::spawn(move || {
            let _keeps = tx;
            stop().wait();
        })
        .unwrap();
        let child =
            tine::spawn(move || (wait(&[&rx], LONG).unwrap(), rx.try_recv().map_err(|e| e.to_string()))).unwrap();
        until_in(&child, libc::SYS_futex_waitv);
        if is_killed {
            sender.kill().unwrap()
        } else {
            sender.request_stop().unwrap()
        }
        let (which, end) = child.join().unwrap();
        assert_eq!(which, Some(0));
        assert_eq!(end.unwrap_err().contains(&sender.id().to_string()), is_killed);
        let _ = sender.join();
    }
}
