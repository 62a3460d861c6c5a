//! Server-sent events (WHATWG HTML, section 9.2), as far as nodes send them.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Who has sent nothing for so long is gone: nodes send something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(40);

/// A stream of events. It is read by a thread of its own, which ends with the connection.
#[derive(Debug)]
pub(crate) struct Stream {
    lines: Receiver<String>,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What to ask for to go on behind it.
    pub(crate) id: Option<String>,
    pub(crate) event: String,
    pub(crate) data: String,
}

impl Stream {
    /// The stream that arrives through `reader`.
    pub(crate) fn new(reader: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            // What is not UTF-8, and a broken connection, ends the stream.
            let all = BufReader::new(reader).lines().map_while(Result::ok);
            let _ = all.map(|line| sender.send(line)).take_while(Result::is_ok).count();
        });
        Self { lines }
    }

    /// The next event; `None` when the connection has ended, or seems to be dead.
    pub(crate) fn next(&self) -> Option<Frame> {
        self.next_within(SILENCE)
    }

    fn next_within(&self, silence: Duration) -> Option<Frame> {
        let (mut frame, mut data) = (Frame::default(), None::<String>);
        loop {
            let line = match self.lines.recv_timeout(silence) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            };
            if line.is_empty() {
                if let Some(data) = data.take() {
                    return Some(Frame { data, ..frame });
                }
                frame = Frame::default();
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => frame.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut frame.event),
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                // Comments, and what later versions may send.
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Stream};
    use std::io::Cursor;
    use std::time::Duration;

    fn frames(text: &'static str) -> Vec<Frame> {
        let stream = Stream::new(Cursor::new(text));
        std::iter::from_fn(|| stream.next()).collect()
    }

    #[test]
    fn events_are_taken_out_of_their_lines() {
        let frame = |id: Option<&str>, event: &str, data: &str| Frame {
            id: id.map(str::to_owned),
            event: event.to_owned(),
            data: data.to_owned(),
        };
        let text =
            "id: a-1-2\nevent: x/y\ndata: {\"a\":\"b: c\"}\n\n:\n\nevent:z\nretry: 5\ndata\n\n";
        assert_eq!(
            frames(text),
            [frame(Some("a-1-2"), "x/y", "{\"a\":\"b: c\"}"), frame(None, "z", "")]
        );
        assert_eq!(frames("data: 1\r\ndata: 2\r\n\r\n"), [frame(None, "", "1\n2")]);
        // What has no end, or no data, is none.
        assert_eq!(frames("data: 1\n\nid: 2\n\ndata: 3\n"), [frame(None, "", "1")]);
    }

    #[test]
    fn who_is_silent_is_gone() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(Stream::new(reader).next_within(Duration::from_millis(50)), None);
    }
}
