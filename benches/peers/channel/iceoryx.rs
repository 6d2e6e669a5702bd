//! The same work by iceoryx2: services that processes publish to and subscribe to.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

use crate::ours::CAPACITY;
use crate::race::{forked, opened, thousand, until_some};
use crate::support::so_many;

fn name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("tine-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn node() -> Node<ipc::Service> {
    set_log_level(LogLevel::Error);
    NodeBuilder::new().create().expect("a node")
}

fn service_name(name: &str) -> ServiceName {
    name.try_into().expect("a short name")
}

/// What is published is received, all of it: the publisher waits while the buffer is full.
macro_rules! service {
    ($node:expr, $name:expr, $payload:ty, $buffer:expr) => {
        $node
            .service_builder(&service_name($name))
            .publish_subscribe::<$payload>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size($buffer)
            .open_or_create()
            .expect("a service")
    };
}

/// A port, and the node that is to outlive it.
struct Held<P>(P, #[allow(dead_code)] Node<ipc::Service>);
type Sending = Held<Publisher<ipc::Service, u64, ()>>;
type Receiving = Held<Subscriber<ipc::Service, u64, ()>>;

fn sending(name: &str, buffer: usize) -> Sending {
    let node = node();
    let service = service!(node, name, u64, buffer);
    let publisher = service.publisher_builder().backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
    let publisher = publisher.create().expect("a publisher");
    // What is published before somebody subscribes is lost.
    until_some(|| (service.dynamic_config().number_of_subscribers() > 0).then_some(()));
    Held(publisher, node)
}

fn receiving(name: &str, buffer: usize) -> Receiving {
    let node = node();
    let service = service!(node, name, u64, buffer);
    Held(service.subscriber_builder().create().expect("a subscriber"), node)
}

fn send(tx: &Sending, value: u64) {
    tx.0.send_copy(value).expect("the subscriber lives");
}

fn recv(rx: &Receiving) -> u64 {
    loop {
        match rx.0.receive().expect("the publisher lives") {
            Some(sample) => return *sample,
            None => std::hint::spin_loop(),
        }
    }
}

pub fn round_trips() -> Duration {
    let n = so_many(10_000);
    let (ask, answer) = (name(), name());
    let near = {
        let (ask, answer) = (ask.clone(), answer.clone());
        opened(64, n, move || {
            let rx = receiving(&answer, 64);
            let tx = sending(&ask, 64);
            move |i| {
                send(&tx, i);
                assert_eq!(recv(&rx), i);
            }
        })
    };
    let far = opened(64, n, move || {
        let rx = receiving(&ask, 64);
        let tx = sending(&answer, 64);
        move |_| send(&tx, recv(&rx))
    });
    thousand(forked(vec![near, far]), n)
}

pub fn stream() -> Duration {
    let n = so_many(20_000);
    let name = name();
    let sender = {
        let name = name.clone();
        opened(CAPACITY as u32, n, move || {
            let tx = sending(&name, CAPACITY);
            move |i| send(&tx, i)
        })
    };
    let receiver = opened(CAPACITY as u32, n, move || {
        let rx = receiving(&name, CAPACITY);
        move |i| assert_eq!(recv(&rx), i)
    });
    thousand(forked(vec![sender, receiver]), n)
}

/// A thousand messages of `len` bytes, written once, in shared memory, and read there.
pub fn large(len: usize, n: u32) -> Duration {
    let name = name();
    let sender = {
        let name = name.clone();
        opened(4, n, move || {
            let node = node();
            let service = service!(node, &name, [u8], 4);
            let publisher = service
                .publisher_builder()
                .initial_max_slice_len(len)
                .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                .create()
                .expect("a publisher");
            until_some(|| (service.dynamic_config().number_of_subscribers() > 0).then_some(()));
            let tx = Held(publisher, node);
            move |i| {
                let mut sample = tx.0.loan_slice_uninit(len).expect("memory");
                sample.payload_mut().fill(MaybeUninit::new(i as u8));
                // SAFETY: all of it was just written.
                unsafe { sample.assume_init() }.send().expect("the subscriber lives");
            }
        })
    };
    let receiver = opened(4, n, move || {
        let node = node();
        let service = service!(node, &name, [u8], 4);
        let rx = Held(service.subscriber_builder().create().expect("a subscriber"), node);
        move |_| {
            let sample = until_some(|| rx.0.receive().expect("the publisher lives"));
            black_box(crate::ours::read(&sample));
        }
    });
    thousand(forked(vec![sender, receiver]), n)
}
