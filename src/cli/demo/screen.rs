//! Where the demo is shown: a terminal that is drawn over, or a file that gets the events as lines.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::script::Cue;
use super::story::Story;
use super::view::{self, Paint};

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// A line that is too long for a small terminal must stay one line, or the next frame is off.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const CLEAR_TO_LINE_END: &str = "\x1b[K";

/// What is shown, and how far.
#[derive(Debug)]
pub(super) enum Screen {
    /// A terminal.
    Terminal {
        /// Colours.
        paint: Paint,
        /// What stands there now.
        shown: String,
    },
    /// A file or a pipe.
    Plain {
        /// How many events are written.
        written: usize,
    },
}

impl Screen {
    /// Shows on the terminal if stdout is one; in colours unless `NO_COLOR` is set.
    pub(super) fn open(out: &mut dyn Write) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Ok(Self::Plain { written: 0 });
        }
        write!(out, "{HIDE_CURSOR}{WRAP_OFF}")?;
        let paint = Paint(std::env::var_os("NO_COLOR").is_none());
        Ok(Self::Terminal { paint, shown: String::new() })
    }

    /// Shows the story at the time `now`.
    pub(super) fn show(
        &mut self,
        out: &mut dyn Write,
        story: &Story,
        now: Duration,
        next: Option<Cue>,
    ) -> io::Result<()> {
        match self {
            Self::Terminal { paint, shown } => {
                let frame = view::frame(story, now, next, *paint);
                if *shown != frame {
                    // One write, so that the terminal never shows half of it.
                    out.write_all(over(shown, &frame).as_bytes())?;
                    *shown = frame;
                }
            }
            Self::Plain { written } => {
                for event in &story.events[*written..] {
                    writeln!(out, "{}", view::event_line(event))?;
                }
                *written = story.events.len();
            }
        }
        out.flush()
    }

    /// Leaves the terminal as it was found, with the last frame on it.
    pub(super) fn close(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Terminal { .. } => write!(out, "{WRAP_ON}{SHOW_CURSOR}"),
            Self::Plain { .. } => Ok(()),
        }
    }
}

/// What draws `frame` over `shown`, when the cursor stands below that.
fn over(shown: &str, frame: &str) -> String {
    let mut text = match shown.lines().count() {
        0 => String::new(),
        lines => format!("\r\x1b[{lines}A"),
    };
    for line in frame.lines() {
        text.push_str(line);
        text.push_str(CLEAR_TO_LINE_END);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_drawn_over_the_one_before() {
        assert_eq!(over("", "a\nb\n"), "a\x1b[K\nb\x1b[K\n");
        assert_eq!(over("long\nb\n", "a\nc\n"), "\r\x1b[2Aa\x1b[K\nc\x1b[K\n");
    }
}
