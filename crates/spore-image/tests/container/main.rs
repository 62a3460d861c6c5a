//! Containers, made, taken apart, and altered.

mod altered;
mod made;
mod sample;
mod vectors;
