//! The foreign names that a Rust source declares, found by its words alone: the
//! crates read are generated, and a name too few fails the link.

use std::collections::BTreeSet;

/// How a block of foreign declarations begins; the macros are objc2's own.
const OPENINGS: [&str; 4] =
    ["extern \"C\" {", "extern \"C-unwind\" {", "extern_c! {", "extern_c_unwind! {"];

/// The framework that a source links: `link(name = "X", kind = "framework")`.
pub fn framework(source: &str) -> Option<String> {
    source.lines().find_map(|line| {
        let (_, rest) = line.split_once("link(name = \"")?;
        let (name, rest) = rest.split_once('"')?;
        rest.contains("kind = \"framework\"").then(|| name.to_owned())
    })
}

/// The linker's names of everything declared in blocks of foreign items.
pub fn declared(source: &str) -> BTreeSet<String> {
    let code = without_comments(source);
    OPENINGS.iter().flat_map(|opening| code.split(opening).skip(1)).flat_map(names_in).collect()
}

fn without_comments(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The names in a block; `rest` begins behind its opening brace.
fn names_in(rest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut link_name = None;
    for item in block(rest).split(';') {
        link_name = attribute(item).or(link_name);
        if let Some(name) = item_name(item) {
            names.push(link_name.take().unwrap_or(name));
        }
    }
    names
}

/// What stands before the brace that closes the block.
fn block(rest: &str) -> &str {
    let mut depth = 1;
    let end = rest.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    &rest[..end.unwrap_or(rest.len())]
}

/// The name of `#[link_name = "name"]`.
fn attribute(item: &str) -> Option<String> {
    let (_, rest) = item.split_once("link_name = \"")?;
    rest.split_once('"').map(|(name, _)| name.to_owned())
}

/// The word behind `fn` or `static`.
fn item_name(item: &str) -> Option<String> {
    let words: Vec<_> = item.split_whitespace().collect();
    let at = words.iter().position(|&word| word == "fn" || word == "static")?;
    let name = words[at + 1..].iter().find(|&&word| word != "mut")?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = name.find(|c| !is_word(c)).unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_statics_are_found() {
        let source = r#"
            extern "C-unwind" {
                /// fn commented(); static too: u8;
                pub fn first(x: &fn() -> u8) -> u8;
                #[cfg(feature = "a")]
                #[link_name = "_second$INODE64"]
                pub fn renamed();
            }
            pub extern "C-unwind" fn defined_here() { inner(); }
            extern "C" { pub static mut third: &'static u8; }
            fn body() { extern_c! { safe fn fourth<T>(t: T) ; } }
        "#;
        let names: Vec<_> = declared(source).into_iter().collect();
        assert_eq!(names, ["_second$INODE64", "first", "fourth", "third"]);
    }

    #[test]
    fn frameworks_are_found() {
        let attribute = r#"#[cfg_attr(x, link(name = "AppKit", kind = "framework"))]"#;
        assert_eq!(framework(attribute).as_deref(), Some("AppKit"));
        assert_eq!(framework(r#"link(name = "objc", kind = "dylib")"#), None);
    }
}
