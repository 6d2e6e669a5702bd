//! The runner itself: a case runs alone, and what it leaves behind is seen.
mod support;

fn main() {
    support::run(cases![a_case_is_single_threaded, a_child_is_reaped]);
}

fn a_case_is_single_threaded() {
    assert_eq!(std::fs::read_dir("/proc/self/task").unwrap().count(), 1);
}

fn a_child_is_reaped() {
    assert_eq!(support::in_child(|| ()).code(), Some(0));
    assert_eq!(support::in_child(|| panic!("as asked")).code(), Some(101));
}
