//! Makes cargo see a migration file that was added: `sqlx::migrate!` puts the folder into the binary.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/sqlite");
}
