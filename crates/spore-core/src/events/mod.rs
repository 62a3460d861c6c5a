//! Events by topic.

mod topic;

pub use topic::{Filter, InvalidFilter, InvalidTopic, Topic};
