//! Whole edges in this process: real sockets, a real kernel over the store in memory, and a
//! protocol of one line.

mod admin;
mod bench;
mod layers;
mod leaving;
mod resting;
mod rooms;
mod secure;
