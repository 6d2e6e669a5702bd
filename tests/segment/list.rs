//! Python's lists, read here: whatever Python itself reads there is read.
use tine::memory::{Item, ListError, Segment, ShareableList, View};

use crate::python::Python;

/// As `show` of `crate::python` does.
fn show(item: Result<Item, ListError>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match item {
        Ok(Item::Int(n)) => format!("int {n}"),
        Ok(Item::Float(x)) => format!("float {}", hex(&x.to_be_bytes())),
        Ok(Item::Bool(true)) => "bool True".to_owned(),
        Ok(Item::Bool(false)) => "bool False".to_owned(),
        Ok(Item::None) => "NoneType None".to_owned(),
        Ok(Item::Str(string)) => format!("str {}", hex(string.as_bytes())),
        Ok(Item::Bytes(bytes)) => format!("bytes {}", hex(&bytes)),
        Err(ListError::NotUtf8 { .. }) => "not utf-8".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn memory(python: &mut Python) -> View<u8> {
    Segment::open_view(&python.ask("sl.shm.name")).unwrap()
}

/// Every item of `sl`, as both read it.
#[track_caller]
fn the_same_to_both(python: &mut Python, list: &ShareableList) {
    assert_eq!(python.ask("len(sl)"), list.len().to_string());
    for index in 0..list.len() {
        assert_eq!(python.ask(&format!("show(sl, {index})")), show(list.get(index)).trim_end(), "item {index}");
    }
}

const ITEMS: &str = "[0, 1, -1, 2**63 - 1, -2**63, 0.0, -0.0, 1.5, float('inf'), float('nan'), 5e-324, True, False, None, \
    '', 'a', 'sevenis', 'eight is', 'nine is 9', 'x' * 1000, 'f\\u00fcnf', '\\u8a9e', 'a\\0b', 'a\\0\\0', \
    b'', b'a', b'\\0', b'a\\0b', b'a\\0\\0', b'\\xff' * 8, bytes(range(256))]";

/// Python's scenario 130.
pub fn lists_of_python_are_read() {
    let mut python = Python::start();
    python.run(&format!("sl = ShareableList({ITEMS})"));
    let list = ShareableList::new(memory(&mut python)).unwrap();
    the_same_to_both(&mut python, &list);
    assert_eq!((list.get(3).unwrap(), list.get(11).unwrap()), (Item::Int(i64::MAX), Item::Bool(true)));
    assert_eq!(list.get(20).unwrap(), Item::Str("fünf".to_owned()));
    // Trailing zeroes are lost, in Python too.
    assert_eq!(list.get(28).unwrap(), Item::Bytes(b"a".to_vec()));
    // More bytes than characters: whatever this version of Python makes of them.
    for text in ["\u{fc}".repeat(7), format!("a{}", "\u{fc}".repeat(6)), "\u{8a9e}".repeat(7)] {
        python.run("sl.shm.unlink()");
        python.run(&format!("sl = ShareableList(['{text}', 'behind it'])"));
        let list = ShareableList::new(memory(&mut python)).unwrap();
        the_same_to_both(&mut python, &list);
        assert_eq!(list.get(1).unwrap(), Item::Str("behind it".to_owned()));
    }
    python.run("sl.shm.unlink()");
    python.end();
}

pub fn an_empty_list_of_python_is_read() {
    let mut python = Python::start();
    python.run("sl = ShareableList([])");
    let list = ShareableList::new(memory(&mut python)).unwrap();
    assert!(list.is_empty());
    assert_eq!((list.to_vec().unwrap(), list.get(0)), (vec![], Err(ListError::NoItem { index: 0, len: 0 })));
    python.run("sl.shm.unlink()");
    python.end();
}

pub fn items_that_python_sets_are_seen() {
    let mut python = Python::start();
    python.run("sl = ShareableList([1, 'twelve chars', None, b'bytes', 2.5, True])");
    let list = ShareableList::new(memory(&mut python)).unwrap();
    for set in [
        "sl[0] = 2.5",
        "sl[0] = None",
        "sl[0] = False",
        "sl[0] = -7",
        "sl[1] = 'short'",
        "sl[1] = 5",
        "sl[1] = 'again'",
        "sl[1] = b'bytes'",
        "sl[2] = 'eight ch'",
        "sl[2] = 'x'",
        "sl[3] = 'str'",
        "sl[3] = None",
        "sl[4] = b'12345678'",
        "sl[5] = 0",
        "sl[1] = 'f\\u00fcnf'",
    ] {
        python.run(set);
        the_same_to_both(&mut python, &list);
    }
    assert_eq!(python.ask("sl.__setitem__(0, 'longer than its place')"), "ValueError");
    the_same_to_both(&mut python, &list);
    python.run("sl.shm.unlink()");
    python.end();
}

pub fn many_lists_of_python_are_read() {
    let mut python = Python::start();
    python.run("import random");
    python.run("random.seed(20)");
    let any = "random.choice([lambda: random.randint(-2**63, 2**63 - 1), lambda: random.gauss(0, 1e9), lambda: None, \
               lambda: random.random() < .5, lambda: random.randbytes(random.randrange(40)), \
               lambda: ''.join(random.choices('abc\\u00fc\\u8a9e\\0', k=random.randrange(40)))])()";
    for _ in 0..100 {
        python.run(&format!("sl = ShareableList([{any} for _ in range(random.randrange(12))])"));
        let list = ShareableList::new(memory(&mut python)).unwrap();
        // All in one line: each question costs a switch between the processes.
        let theirs = python.ask("' '.join(show(sl, i) for i in range(len(sl)))");
        assert_eq!(theirs, list.iter().map(show).collect::<Vec<_>>().join(" ").trim_end());
        python.run("sl.shm.unlink()");
    }
    python.end();
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::Int(_) => "int",
        Item::Float(_) => "float",
        Item::Bool(_) => "bool",
        Item::None => "None",
        Item::Str(_) => "str",
        Item::Bytes(_) => "bytes",
    }
}

/// Python writes while it is read here: old values, new values, or an error of the item, and nothing else.
pub fn a_list_is_read_while_python_writes_it() {
    let mut python = Python::start();
    python.run("sl = ShareableList([1, 'x' * 100])");
    let memory = memory(&mut python);
    let list = ShareableList::new(memory).unwrap();
    python.run("import threading");
    python.run("stop = False");
    python.run("t = threading.Thread(target=work)");
    python.run("t.start()");
    let mut seen = std::collections::BTreeSet::new();
    let mut looks = 0_u64;
    // Until it has been seen to change; how the two are scheduled is the kernel's business.
    crate::support::until("four kinds of values are seen", || {
        for _ in 0..1000 {
            looks += 1;
            match list.get(0) {
                Ok(item) => drop(seen.insert(kind(&item))),
                Err(ListError::Format { index: 0, .. } | ListError::NotUtf8 { index: 0, .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
            let _ = list.get(1);
        }
        seen.len() == 4
    });
    println!("{looks} looks");
    python.run("stop = True");
    python.run("t.join()");
    the_same_to_both(&mut python, &list);
    python.run("sl.shm.unlink()");
    python.end();
}
