//! The crash lab: processes that are killed before every instruction of an operation.
//!
//! | file | noun |
//! |---|---|
//! | `operation` | what is tested, from where, and what may be seen of it |
//! | `campaign` | all points of an operation, and who works on them |
//! | `modes` | what is done at a point: killed, frozen, woken, killed twice |
//! | `run` | a stage, a victim, survivors |
//! | `oracle` | what is right |
//! | `tracee`, `breakpoint` | a process that stops where it is told |
//! | `trace` | the path through the instructions |
//! | `process` | bystanders and survivors; who hangs |
//! | `board` | what they write for the lab; gates |
//! | `resources` | what a process holds |
//! | `finding`, `table` | what is wrong, and the counts |
//! | `operations/` | what the lab is used on |
//! | `cases` | all of it, as tests |
//!
//! `docs/9-killed-anywhere.md` is the chapter on it.
pub mod board;
mod breakpoint;
pub mod campaign;
pub mod cases;
pub mod finding;
mod modes;
pub mod operation;
mod operations;
mod oracle;
pub mod process;
pub mod resources;
mod run;
pub mod table;
pub mod trace;
pub mod tracee;
