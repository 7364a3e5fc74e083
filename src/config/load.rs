//! From a file, options and the environment to a [`Config`], or to the list of all that is wrong.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::mistake::{Mistake, Mistakes, Place};
use super::reader::Report;
use super::substitute::{Env, substitute};
use super::tree::Node;
use super::{Config, environment, files, overrides, read, render, rules, show, yaml};

/// Larger files are no configuration.
const MAX_FILE: u64 = 4 << 20;

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A YAML file.
    File(PathBuf),
    /// YAML that is at hand, and what to call it in messages.
    Text {
        /// Stands for the file's name.
        name: String,
        /// The YAML.
        text: String,
    },
    /// No file: `OTEL_EXPORTER_OTLP_ENDPOINT` and its siblings describe the primary.
    Environment,
}

/// A value that an option of the command line puts over the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The option as it was given, for messages.
    pub option: String,
    /// Key and value, `queue.max_size=1GiB`.
    pub assignment: String,
}

impl Source {
    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Text { name, .. } => name.clone(),
            Source::Environment => "environment".to_owned(),
        }
    }

    fn text(&self) -> Result<String, Mistake> {
        let path = match self {
            Source::Text { text, .. } => return Ok(text.clone()),
            Source::Environment => return Ok(String::new()),
            Source::File(path) => path,
        };
        let unreadable = |why: String| Mistake::new(Place::Nowhere, format!("the file cannot be read: {why}"));
        let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(unreadable(format!("it is larger than {MAX_FILE} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            Mistake::new(Place::File { line, column: 1 }, "the line is not UTF-8")
        })
    }
}

impl Override {
    /// `--set KEY.PATH=VALUE`; the value is YAML, so that `chain.fallback=[direct]` works.
    pub fn set(assignment: impl Into<String>) -> Override {
        let assignment = assignment.into();
        Override { option: format!("--set {assignment}"), assignment }
    }

    /// `--data-dir DIR`
    pub fn data_dir(directory: &Path) -> Override {
        Override::text(format!("--data-dir {}", directory.display()), "queue.directory", &directory.to_string_lossy())
    }

    /// An option that stands for one key, with a value that is text whatever it looks like.
    pub fn text(option: impl Into<String>, key: &str, value: &str) -> Override {
        let quoted = serde_json::Value::from(value.replace('$', "$$"));
        Override { option: option.into(), assignment: format!("{key}={quoted}") }
    }
}

/// A configuration that holds, and what is worth a warning.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The whole of it.
    pub config: Config,
    /// One line each, with the place.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads, overrides, substitutes, decodes and checks; opens the files that it names, and writes nothing.
    ///
    /// `env` is the environment (`std::env::var(name).ok()` in the program). Overrides beat the file, the file beats the
    /// environment, the environment beats the defaults.
    pub fn load(
        source: &Source,
        overrides: &[Override],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Mistakes> {
        let file = source.name();
        let report = Report::default();
        let loaded = source.text().and_then(|text| from_text(source, &text, overrides, env, &report));
        if let Err(mistake) = &loaded {
            report.mistake(mistake.clone());
        }
        let (mistakes, warnings) = report.into_parts();
        match loaded {
            Ok(config) if mistakes.is_empty() => {
                let warnings = warnings.iter().map(|warning| warning.line(&file)).collect();
                Ok(Loaded { config, warnings })
            }
            _ => Err(Mistakes { file, list: mistakes }),
        }
    }

    /// The effective configuration as YAML, every key with its value, secrets as `***`.
    pub fn to_yaml(&self) -> String {
        render::yaml(&show::tree(self))
    }

    /// The same as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        render::json(&show::tree(self))
    }
}

/// The straight line: text → tree → overrides → substitution → environment → sections → rules. An `Err` is a mistake after which
/// nothing more can be read; everything else is in the report.
fn from_text(
    source: &Source,
    text: &str,
    overrides: &[Override],
    env: Env<'_>,
    report: &Report,
) -> Result<Config, Mistake> {
    let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
    let parsed = yaml::parse(text, &|line, column| Place::File { line, column }, &mut mistakes);
    let read = parsed.map(|tree| {
        let mut tree = tree.unwrap_or_else(|| Node::map(Place::Nowhere));
        overrides::apply(&mut tree, overrides, &mut mistakes);
        substitute(&mut tree, env, &mut mistakes);
        environment::fill(&mut tree, env, &mut mistakes, &mut warnings);
        tree
    });
    mistakes.into_iter().for_each(|mistake| report.mistake(mistake));
    warnings.into_iter().for_each(|warning| report.warning(warning));
    let tree = read?;
    if *source == Source::Environment && !tree.has(&["targets"]) && report.is_clean() {
        let mistake = Mistake::new(Place::Nowhere, "there is no configuration");
        return Err(mistake.expected("--config FILE, or OTEL_EXPORTER_OTLP_ENDPOINT in the environment").hint(
            "`spillway run --set targets.hub.endpoint=http://hub:4317` works too, and `spillway demo` needs nothing",
        ));
    }
    let config = read::config(&tree, report);
    rules::check(&config, &tree, report);
    files::check(&config, &tree, report);
    Ok(config)
}
