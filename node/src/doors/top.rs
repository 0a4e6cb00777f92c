//! `millrace top`: the state of the validators of a network and their alarms, in a terminal, once a second.
//!
//! ```text
//! a thread for each validator: its status, once a second ─▶ channel ─▶ the newest of each ─▶ a page, drawn when it changes
//! ```
//!
//! Like `millrace monitor` it judges nothing: it shows the alarms of the validators. Their texts are not trusted, so no
//! control character of them reaches the terminal.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use client::answers::{Severity, StatusAnswer};
use client::{AsOf, Client};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table};

use crate::cli::TopArgs;
use crate::network::{Member, Network};
use crate::validator::clock::Clock;

/// How often each validator is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long it waits for a key before it draws what has come.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What one validator has said, and when.
struct Told {
    place: usize,
    at: Duration,
    said: Result<(AsOf, StatusAnswer), String>,
}

/// A line of the page.
struct Seen {
    name: String,
    address: String,
    told: Option<Told>,
    /// Heights a second, from the last two answers.
    rate: Option<f64>,
}

/// Standard input or output is not a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a terminal: use `millrace monitor`, which prints a line for each validator")]
pub struct NoTerminal;

/// Shows the page until q or Ctrl-C is pressed.
///
/// # Errors
/// The network cannot be read, or there is no terminal.
pub fn top(args: &TopArgs) -> Result<bool> {
    let network = Arc::new(Network::load(&args.network)?);
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(NoTerminal.into());
    }
    let (sender, told) = channel();
    let clock = Clock::start();
    for place in 0..network.members.len() {
        let (network, sender) = (network.clone(), sender.clone());
        thread::Builder::new()
            .name(format!("top-{place}"))
            .spawn(move || ask(&network, place, clock, &sender))
            .context("cannot start a thread")?;
    }
    let mut page = Page::new(network.genesis.name(), &network.members);
    let mut terminal = ratatui::init();
    let shown = show(&mut page, &told, &mut terminal);
    ratatui::restore();
    shown?;
    Ok(true)
}

fn show(page: &mut Page, told: &Receiver<Told>, terminal: &mut ratatui::DefaultTerminal) -> io::Result<()> {
    loop {
        told.try_iter().for_each(|told| page.take(told));
        terminal.draw(|frame| page.draw(frame))?;
        if event::poll(LOOK_EVERY)? && ends(&event::read()?) {
            return Ok(());
        }
    }
}

/// Whether this key ends the page.
fn ends(event: &Event) -> bool {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return false };
    let is_interrupt = modifiers.contains(KeyModifiers::CONTROL) && *code == KeyCode::Char('c');
    is_interrupt || matches!(code, KeyCode::Char('q') | KeyCode::Esc)
}

/// Asks one validator, until nobody listens any more.
fn ask(network: &Network, place: usize, clock: Clock, sender: &Sender<Told>) {
    let member = &network.members[place];
    let mut client: Option<Client> = None;
    loop {
        let mut status = || -> Result<(AsOf, StatusAnswer), client::ClientError> {
            let known = match client.take() {
                Some(known) => known,
                None => member.connect(&network.genesis)?,
            };
            let answer = client.insert(known).status()?;
            Ok((answer.as_of, answer.value))
        };
        let said = status().map_err(|error| error.to_string());
        if said.is_err() {
            client = None;
        }
        if sender.send(Told { place, at: clock.now(), said }).is_err() {
            return;
        }
        thread::sleep(ASK_EVERY);
    }
}

/// What is shown.
struct Page {
    network: String,
    seen: Vec<Seen>,
}

/// A text that is not trusted, without control characters for a terminal.
fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}

impl Page {
    fn new(network: &str, members: &[Member]) -> Self {
        let seen = |member: &Member| Seen {
            name: plain(&member.name),
            address: member.clients.to_string(),
            told: None,
            rate: None,
        };
        Self { network: plain(network), seen: members.iter().map(seen).collect() }
    }

    /// Takes what a validator has said, in place of what it said before.
    fn take(&mut self, told: Told) {
        let seen = &mut self.seen[told.place];
        let before = seen.told.take();
        let height = |told: &Told| told.said.as_ref().ok().map(|(_, status)| status.committed.0);
        seen.rate = before.and_then(|before| {
            let heights = height(&told)?.checked_sub(height(&before)?)?;
            let seconds = told.at.checked_sub(before.at)?.as_secs_f64();
            (seconds > 0.0).then(|| heights as f64 / seconds)
        });
        seen.told = Some(told);
    }

    fn said(&self) -> impl Iterator<Item = &(AsOf, StatusAnswer)> {
        self.seen.iter().filter_map(|seen| seen.told.as_ref()?.said.as_ref().ok())
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let rows = self.seen.len() as u16 + 3;
        let [head, validators, alarms, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(rows),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        // A part for which a small terminal has no room may lie outside of it.
        let has_room = |area: &Rect| !area.is_empty();
        if has_room(&head) {
            frame.render_widget(self.head(), head);
        }
        if has_room(&validators) {
            frame.render_widget(self.validators(), validators);
        }
        let alarm_lines = self.alarms();
        let title = if alarm_lines.is_empty() { " no alarm " } else { " alarms " };
        if has_room(&alarms) {
            frame.render_widget(Paragraph::new(alarm_lines).block(Block::bordered().title(title)), alarms);
        }
        if has_room(&foot) {
            frame.render_widget("q ends it; docs/ALARMS.md says what to do", foot);
        }
    }

    fn head(&self) -> Line<'_> {
        let height = self.said().map(|(_, status)| status.committed.0).max().unwrap_or(0);
        let epoch = self.said().map(|(_, status)| status.standing.epoch.0).max().unwrap_or(0);
        let (here, all) = (self.said().count(), self.seen.len());
        let text = format!(
            "network {:?}  height {height}  epoch {epoch}  {here} of {all} validators answer",
            self.network
        );
        Line::styled(text, Style::new().add_modifier(Modifier::BOLD))
    }

    fn validators(&self) -> Table<'_> {
        let widths = [
            Constraint::Length(4),
            Constraint::Length(16),
            Constraint::Length(10),
            Constraint::Length(7),
            Constraint::Length(9),
            Constraint::Length(6),
            Constraint::Length(9),
            Constraint::Min(16),
        ];
        let head = ["", "validator", "height", "behind", "heights/s", "peers", "waiting", "clients"];
        let head = Row::new(head).style(Style::new().add_modifier(Modifier::DIM));
        let rows = self.seen.iter().enumerate().map(|(place, seen)| row(place, seen));
        Table::new(rows, widths).header(head).block(Block::bordered().title(" validators "))
    }

    /// A line for each alarm, the worst ones first; also for each validator that does not answer.
    fn alarms(&self) -> Vec<Line<'_>> {
        let mut found = Vec::new();
        for seen in &self.seen {
            match &seen.told {
                None => {}
                Some(Told { said: Err(error), .. }) => {
                    found.push((
                        Severity::Critical,
                        format!("{}: cannot be reached: {}", seen.name, plain(error)),
                    ));
                }
                Some(Told { said: Ok((_, status)), .. }) => {
                    let line = |alarm: &client::answers::AlarmAnswer| {
                        let silenced = if alarm.silenced.is_some() { " (silenced)" } else { "" };
                        format!("{}: {}: {}{silenced}", seen.name, alarm.alarm.name(), plain(&alarm.says))
                    };
                    found.extend(status.alarms.iter().map(|alarm| (alarm.severity, line(alarm))));
                }
            }
        }
        found.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
        found.into_iter().map(|(severity, line)| Line::styled(line, style(Some(severity)))).collect()
    }
}

fn row(place: usize, seen: &Seen) -> Row<'_> {
    let start = [place.to_string(), seen.name.clone()];
    let (rest, worst) = match &seen.told {
        None => (["", "", "", "", "being asked"].map(str::to_owned), None),
        Some(Told { said: Err(_), .. }) => {
            (["", "", "", "", "cannot be reached"].map(str::to_owned), Some(Severity::Critical))
        }
        Some(Told { said: Ok((as_of, status)), .. }) => {
            let behind = as_of.behind.map_or_else(|| "?".to_owned(), |blocks| blocks.to_string());
            let rate = seen.rate.map_or_else(String::new, |rate| format!("{rate:.1}"));
            let rest = [
                behind,
                rate,
                status.peers.len().to_string(),
                status.pending.to_string(),
                seen.address.clone(),
            ];
            let ringing = status.alarms.iter().filter(|alarm| alarm.silenced.is_none());
            (rest, ringing.map(|alarm| alarm.severity).max())
        }
    };
    let height = match &seen.told {
        Some(Told { said: Ok((_, status)), .. }) => status.committed.to_string(),
        _ => String::new(),
    };
    let cells = start.into_iter().chain([height]).chain(rest);
    Row::new(cells.collect::<Vec<_>>()).style(style(worst))
}

fn style(severity: Option<Severity>) -> Style {
    match severity {
        None => Style::new(),
        Some(Severity::Warning) => Style::new().fg(Color::Yellow),
        Some(Severity::Critical) => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

#[cfg(test)]
mod tests;
