//! What was done to a queue, and when; and whether a queue does such things.

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Send(u32),
    Receive(u32),
    Empty,
    /// There may be no room without as many messages: slots are held by who is about to free them.
    Full,
    /// Begun, and not ended.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    op: Op,
    begun: usize,
    ended: usize,
}

/// In the order of begins and ends.
#[derive(Debug, Default)]
pub(crate) struct History {
    now: usize,
    done: Vec<Done>,
}

impl History {
    pub(crate) fn begin(&mut self, op: Op) -> usize {
        self.now += 1;
        self.done.push(Done { op, begun: self.now, ended: usize::MAX });
        self.done.len() - 1
    }

    pub(crate) fn end(&mut self, which: usize, op: Op) {
        self.now += 1;
        self.done[which].op = op;
        self.done[which].ended = self.now;
    }

    /// What began and ended at these points in time.
    #[allow(dead_code)]
    pub(crate) fn push(&mut self, op: Op, begun: usize, ended: usize) {
        self.done.push(Done { op, begun, ended });
    }

    /// How much was done.
    #[allow(dead_code)]
    pub(crate) fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether as much was received as sent.
    #[allow(dead_code)]
    pub(crate) fn is_balanced(&self) -> bool {
        let count = |what: fn(&Done) -> bool| self.done.iter().filter(|done| what(done)).count();
        count(|done| matches!(done.op, Op::Send(_))) == count(|done| matches!(done.op, Op::Receive(_)))
    }

    /// Panics unless there is an order of all that was done, in which nothing comes before what had ended when it began, and
    /// which is that of a queue.
    pub(crate) fn check(&self) {
        let done: Vec<_> = self.done.iter().copied().filter(|done| done.op != Op::Full).collect();
        assert!(is_a_queue(&done, &mut vec![false; done.len()], &mut Vec::new(), 0), "not a queue: {done:#?}");
    }
}

fn is_a_queue(done: &[Done], placed: &mut [bool], queue: &mut Vec<u32>, received: usize) -> bool {
    // Nothing that is left may come before what ended before it began.
    let left = (0..done.len()).filter(|&at| !placed[at]).map(|at| done[at].ended).min();
    let Some(first_end) = left else { return true };
    for at in 0..done.len() {
        if placed[at] || done[at].begun > first_end {
            continue;
        }
        let (sent, next) = match done[at].op {
            Op::Send(item) => (Some(item), received),
            Op::Receive(item) if queue.get(received) == Some(&item) => (None, received + 1),
            Op::Empty if queue.len() == received => (None, received),
            _ => continue,
        };
        placed[at] = true;
        queue.extend(sent);
        if is_a_queue(done, placed, queue, next) {
            return true;
        }
        queue.truncate(queue.len() - usize::from(sent.is_some()));
        placed[at] = false;
    }
    false
}
