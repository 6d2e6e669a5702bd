//! A numpy array and Rust in the same memory, and a list of Python's read here.
//!
//! ```text
//! cargo run --release --example python_numpy
//! ```
//!
//! Python is `python3`, or what `TINE_PYTHON` says. Without numpy the array is a memoryview; without Python there is
//! nothing to see.
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use tine::memory::{Segment, ShareableList};

const LEN: usize = 1_000_000;

const SCRIPT: &str = r#"
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory, ShareableList

name = sys.argv[1]
if sys.version_info >= (3, 13):
    shm = SharedMemory(name, track=False)
else:
    shm = SharedMemory(name)
    # Else this Python would remove the name when it ends, though it has only opened it.
    resource_tracker.unregister(shm._name, "shared_memory")

try:
    import numpy as np
    a = np.ndarray(shm.size // 8, np.float64, shm.buf)
    print(f"numpy {np.__version__}: {len(a)} values, their sum is {a.sum():.0f}", flush=True)
    a *= 2
except ImportError:
    a = shm.buf.cast("d")
    print(f"skipped: no numpy in this Python; a memoryview: {len(a)} values, their sum is {sum(a):.0f}", flush=True)
    for i in range(len(a)):
        a[i] *= 2
print("doubled", flush=True)

sys.stdin.readline()
print(f"the last value is {a[-1]} now", flush=True)

sl = ShareableList(["a list of Python's", 42, 2.5, True, None, b"bytes"])
print(sl.shm.name, flush=True)
sys.stdin.readline()
sl.shm.close()
sl.shm.unlink()
del a
shm.close()
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let segment = Segment::new(8 * LEN)?;
    let values = segment.as_slice::<f64>()?;
    (0..LEN).try_for_each(|i| values.set(i, i as f64))?;
    println!("/dev/shm/{}: {} bytes, no header; value i is i", segment.name(), segment.len());

    let python = std::env::var("TINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let started =
        Command::new(&python).args(["-c", SCRIPT, segment.name()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: {python} could not be started: {error}");
            return Ok(());
        }
    };
    let mut go_on = child.stdin.take().ok_or("no stdin")?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
    let mut hear = || lines.next().ok_or("Python has ended")?.map_err(Box::<dyn std::error::Error>::from);

    println!("Python: {}", hear()?);
    println!("Python: {}", hear()?);
    let (first, last) = (values.get(1), values.get(LEN - 1));
    println!("Rust:   values 1 and {} are {first:?} and {last:?}", LEN - 1);
    assert!((0..LEN).all(|i| values.get(i) == Some(2.0 * i as f64)));

    values.set(LEN - 1, -1.0)?;
    writeln!(go_on)?;
    println!("Python: {}", hear()?);

    let name = hear()?;
    let list = ShareableList::new(Segment::open_view(&name)?)?;
    println!("Rust:   /dev/shm/{name} is {:?}", list.to_vec()?);
    writeln!(go_on)?;
    assert!(child.wait()?.success());

    // Who opened it has left it alone; it goes with this handle.
    assert!(Segment::open(segment.name()).is_ok());
    Ok(())
}
