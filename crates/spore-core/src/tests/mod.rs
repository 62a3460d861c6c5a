//! Tests of several parts of the engine together, in virtual time.

mod pair;
mod vectors;
mod world;
