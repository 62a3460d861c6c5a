//! Tests of several parts of the engine together, in virtual time.

mod away;
mod claim;
mod crash;
mod document;
mod epochs;
mod events;
mod network;
mod pair;
mod past;
mod peers;
mod pieces;
mod portal;
mod rollout;
mod rotation;
mod services;
mod settings;
mod signed;
mod sprockets;
mod streams;
mod tasks;
mod vectors;
mod world;
