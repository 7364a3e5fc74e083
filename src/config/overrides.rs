//! `--set KEY.PATH=VALUE` and its like: values put over those of the file.

use super::load::Override;
use super::mistake::{Mistake, Place};
use super::tree::Node;
use super::yaml;

/// Puts every override into the tree, later ones over earlier ones.
pub(super) fn apply(tree: &mut Node, overrides: &[Override], mistakes: &mut Vec<Mistake>) {
    for over in overrides {
        if let Err(mistake) = put(tree, over, mistakes) {
            mistakes.push(mistake);
        }
    }
}

fn put(tree: &mut Node, over: &Override, mistakes: &mut Vec<Mistake>) -> Result<(), Mistake> {
    let place = Place::Option(over.option.as_str().into());
    let Some((key, value)) = over.assignment.split_once('=') else {
        return Err(Mistake::new(place, "there is no `=`").expected("KEY.PATH=VALUE, such as queue.max_size=20GiB"));
    };
    let path: Vec<&str> = key.trim().split('.').collect();
    if path.iter().any(|part| part.is_empty()) {
        return Err(Mistake::new(place, format!("`{key}` is no path of a key")).expected("KEY.PATH=VALUE"));
    }
    let here = place.clone();
    let value = yaml::parse(value, &|_, _| here.clone(), mistakes)?;
    let value = value.unwrap_or_else(|| Node::plain(place.clone(), ""));
    tree.put(&path, &place, value).map_err(|blocked| Mistake::new(place, format!("`{blocked}` is not a map of keys")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, assignments: &[&str]) -> (Node, Vec<String>) {
        let mut mistakes = Vec::new();
        let file = &|line, column| Place::File { line, column };
        let mut tree = yaml::parse(text, file, &mut mistakes).unwrap().unwrap();
        let overrides: Vec<Override> = assignments.iter().map(|assignment| Override::set(*assignment)).collect();
        apply(&mut tree, &overrides, &mut mistakes);
        (tree, mistakes.iter().map(|mistake| mistake.line("f")).collect())
    }

    #[test]
    fn values_are_put_over_the_files_and_ways_are_made() {
        let (tree, mistakes) = applied("a: {b: 1}\nn:\n", &["a.b=2", "x.y.z=[p, q]", "n.m=3", "e="]);
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(tree.find(&["a", "b"]).unwrap().text(), Some("2"));
        assert_eq!(tree.find(&["x", "y", "z", "1"]).unwrap().text(), Some("q"));
        assert_eq!(tree.find(&["n", "m"]).unwrap().text(), Some("3"));
        assert!(tree.find(&["e"]).unwrap().is_null());
    }

    /// A message names the option as it was given.
    #[test]
    fn what_does_not_fit_is_told_with_the_option() {
        let (_, mistakes) = applied("a: 1\n", &["a.b=2", "nothing", "a..b=1", "a=[1"]);
        assert_eq!(mistakes[0], "--set a.b=2: `a` is not a map of keys");
        assert!(mistakes[1].starts_with("--set nothing: there is no `=`"));
        assert!(mistakes[2].starts_with("--set a..b=1: `a..b` is no path"));
        assert!(mistakes[3].starts_with("--set a=[1: this is no YAML"));
    }
}
