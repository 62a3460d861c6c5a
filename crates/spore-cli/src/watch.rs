//! Commands that look again and again.

use crate::output::{end_with_reader, is_screen, note, print, redraw};
use anyhow::Result;
use clap::Args;
use std::thread;
use std::time::Duration;

/// Whether, and how often.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Look again every so many seconds, until Ctrl-C; 2 if no number is given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2", value_parser = seconds)]
    watch: Option<f64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 3600".to_owned()),
    }
}

impl Watch {
    pub(crate) fn is_on(&self) -> bool {
        self.watch.is_some()
    }

    /// Shows what `look` brings: once, or again and again. On a terminal each takes the place of the one before; in a
    /// pipe there is an empty line between them, unless it is `json`, a document a line.
    pub(crate) fn show(&self, json: bool, look: impl Fn() -> Result<String>) -> Result<()> {
        let mut text = look()?;
        let Some(seconds) = self.watch else { return print(text) };
        end_with_reader()?;
        let screen = is_screen() && !json;
        let mut answers = true;
        loop {
            if screen {
                redraw(&text)?;
            } else {
                print(&text)?;
            }
            text = loop {
                thread::sleep(Duration::from_secs_f64(seconds));
                match look() {
                    Ok(text) => break text,
                    Err(error) if std::mem::take(&mut answers) => {
                        note(format_args!("spore: {error:#}; trying on"));
                    }
                    Err(_) => (),
                }
            };
            answers = true;
            if !screen && !json {
                print("\n")?;
            }
        }
    }
}
