//! A map as text.

use std::fmt;
use std::path::Path;

use super::{LogMap, Map};
use crate::cli::grouped;

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_whole { "nothing is rotten" } else { "NOT WHOLE" };
        writeln!(f, "{}: {verdict}", self.directory.display())?;
        writeln!(f, "  #  records   X  rotten   R  read from a repair   -  released   .  nothing yet")?;
        self.logs.iter().try_for_each(|log| log.fmt(f))?;
        for file in &self.checkpoints {
            writeln!(f, "  {:<31} {}", file.label(), file.state)?;
        }
        Ok(())
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl LogMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.validator {
            Some(validator) => writeln!(f, "  {} of validator {validator}", self.log)?,
            None => writeln!(f, "  {}", self.log)?,
        }
        if let Some(problem) = &self.problem {
            writeln!(f, "    CANNOT BE READ: {problem}")?;
        }
        for segment in &self.segments {
            write!(f, "    {}  [{}]  ", name(&segment.file), segment.cells)?;
            match segment.heights {
                Some((first, last)) => write!(f, "heights {} to {}, ", grouped(first.0), grouped(last.0))?,
                None if segment.batches > 0 => write!(f, "no height, ")?,
                None => {}
            }
            match segment.records {
                0 => writeln!(f, "no records")?,
                records => writeln!(f, "{} records", grouped(records))?,
            }
        }
        for rot in &self.rot {
            let bytes = grouped(rot.until - rot.from);
            writeln!(
                f,
                "    ROTTEN: {bytes} bytes of the log from byte {} of {} on: {}",
                grouped(rot.offset),
                name(&rot.file),
                rot.wrong
            )?;
        }
        for repair in &self.repairs {
            let (file, bytes) = (name(&repair.file), grouped(repair.until - repair.from));
            writeln!(
                f,
                "    repaired: {file} has {} records, read instead of {bytes} bytes",
                grouped(repair.records as u64)
            )?;
        }
        for spoiled in &self.spoiled {
            writeln!(f, "    a repair that counts for nothing: {}: {}", name(&spoiled.file), spoiled.wrong)?;
        }
        Ok(())
    }
}
