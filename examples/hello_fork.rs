//! The smallest program: a child says hello, and its parent hears what it returns.
//!
//! ```text
//! cargo run --example hello_fork
//! ```

fn main() -> Result<(), tine::Error> {
    let greeting = String::from("hello");
    println!("the parent is process {}", std::process::id());
    // `greeting` is borrowed, not moved: the child has its own copy of everything.
    let child = tine::spawn(|| {
        println!(
            "{greeting} from process {}, child of {:?}",
            std::process::id(),
            tine::process::parent().map(|p| p.id())
        );
        greeting.len() as u64
    })?;
    println!("the child counted {} letters", child.join()?);
    Ok(())
}
