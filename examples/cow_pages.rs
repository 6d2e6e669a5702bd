//! Draws which pages a parent and its child share, and which were copied, before and after each of them writes.
//!
//! `cargo run --example cow_pages`

use std::io::{self, BufRead, BufReader, Write, pipe};

use tine::memory::{Advice, Page, Private, fork_cost};
use tine::process::spawn_with;

const PAGES: usize = 32;

fn main() -> Result<(), tine::Error> {
    let size = rustix::param::page_size();
    let mut region = Private::<[u8]>::zeroed(PAGES * size)?;
    // Huge pages would be drawn as 512 at a time.
    let _ = region.advise(Advice::NoHugePages);
    println!("{PAGES} pages of {size} bytes:   · never touched   ░ shared   █ this process's alone\n");

    (0..24).for_each(|page| region[page * size] = 1);
    let sum: u8 = (24..28).map(|page| region[page * size]).sum();
    draw(&format!("The parent wrote 24 pages, and read 4: they are the kernel's one page of zeroes ({sum})."));
    row("parent", &line(&region)?);
    let cost = fork_cost()?;
    println!("\nA fork copies {} page table entries now: about {:?}.", cost.pages, cost.time);

    // Two pipes to take turns by: "go on", and what the child sees then.
    let (orders, mut go_on) = pipe()?;
    let (answers, tell) = pipe()?;
    let child = spawn_with((orders, tell), |(orders, mut tell)| -> io::Result<()> {
        let mut orders = BufReader::new(orders).lines();
        tell.write_all(line(&region)?.as_bytes())?;
        let _ = orders.next();
        (4..10).chain([30]).for_each(|page| region[page * size] = 2);
        tell.write_all(line(&region)?.as_bytes())?;
        let _ = orders.next();
        tell.write_all(line(&region)?.as_bytes())?;
        let _ = orders.next();
        Ok(())
    })?;
    let mut answers = BufReader::new(answers).lines();
    let mut child_sees = || answers.next().expect("the child has more to tell");

    draw("After the fork. Nothing was copied.");
    row("child", &child_sees()?);
    row("parent", &line(&region)?);

    go_on.write_all(b"\n")?;
    let child_row = child_sees()?;
    draw("The child wrote pages 4 to 9, and 30: it got copies, and the parent has the originals for itself.");
    row("child", &child_row);
    row("parent", &line(&region)?);
    assert_eq!(region[4 * size], 1, "the parent saw a child's write");

    (16..20).for_each(|page| region[page * size] = 3);
    go_on.write_all(b"\n")?;
    draw("The parent wrote pages 16 to 19. This time it got the copies.");
    row("child", &child_sees()?);
    row("parent", &line(&region)?);

    go_on.write_all(b"\n")?;
    child.join()??;
    draw("The child has ended. Only the page of zeroes is still shared, with everybody.");
    row("parent", &line(&region)?);
    Ok(())
}

fn draw(what: &str) {
    println!("\n{what}");
}

fn row(who: &str, pages: &str) {
    println!("  {who:>6}  {}", pages.trim_end());
}

/// One sign for each page, as this process sees it.
fn line(region: &Private<[u8]>) -> io::Result<String> {
    let signs = region.cow_map()?.into_iter().map(|page| match page {
        Page::Absent => '·',
        Page::Shared => '░',
        Page::Private => '█',
        _ => '~',
    });
    Ok(signs.chain(['\n']).collect())
}
