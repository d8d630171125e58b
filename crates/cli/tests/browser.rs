//! The page in headless Chromium, against the command itself and the built-in
//! model.

#[test]
fn the_page_of_the_command_works_in_a_browser() {
    let folder = tempfile::tempdir().expect("a folder for what is recorded");
    let (laterna, folder) = (env!("CARGO_BIN_EXE_laterna"), folder.path().display());
    let session = "run --input synthetic --size 128 --port {port} --folder";
    laterna_testing::browser::check(&format!("{laterna} {session} {folder}"));
}
