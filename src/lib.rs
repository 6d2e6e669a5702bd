//! Processes that feel like threads: safe, checked `fork` for Rust on Linux.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_os = "linux"))]
compile_error!("tine works on Linux only: it is built on fork, pidfd, memfd and futex as Linux has them");

#[cfg(target_os = "linux")]
mod sys;

#[cfg(target_os = "linux")]
pub mod memory;
#[cfg(target_os = "linux")]
pub mod pipe;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod wire;

#[cfg(target_os = "linux")]
pub use process::{Builder, JoinHandle, scope, spawn};
