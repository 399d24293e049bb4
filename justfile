# The daily commands. `just` lists them; README.md and docs/reliability.md explain them.

# List the recipes
default:
    @just --list --unsorted

# Build everything
build:
    cargo build --workspace

# Run all tests
test:
    cargo test --workspace

# Run the engine's tests
test-engine:
    cargo test -p towline-engine

# Run the engine's behaviour tests whose names contain NAME, such as `mirrors::`
behaviour NAME:
    cargo test -p towline-engine --test behaviour {{ quote(NAME) }}

# Try this many simulated worlds
sim SEEDS='2000':
    TOWLINE_SIM_SEEDS={{ quote(SEEDS) }} cargo test -p towline-engine --lib simulated -- --nocapture

# Format the code
fmt:
    cargo fmt --all

# Run clippy as CI does
lint:
    cargo clippy --workspace --all-targets --features towline-engine/fuzz -- -D warnings

# Build the API documentation as CI does
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Build the book (needs mdbook) into target/book
book:
    mdbook build

# Build a Debian package (needs cargo-deb), with manual pages and completions
package:
    cargo build --release -p towline
    target/release/towline man target/package/man
    mkdir -p target/package/completions
    target/release/towline completions bash > target/package/completions/towline.bash
    target/release/towline completions zsh > target/package/completions/_towline
    target/release/towline completions fish > target/package/completions/towline.fish
    cargo deb -p towline --no-build

# Run the demo
demo:
    cargo run --release -- demo

# Check everything that must pass before a change is taken
ci:
    .ci/run

# Run each benchmark of the threading toolkit briefly
bench-threads:
    cargo bench -p towline-threads -- --quick

# Run the long forms of docs/reliability.md, one after the other
long:
    TOWLINE_KILLS=700 cargo test -p towline --test kill -- --nocapture
    TOWLINE_LOAD_FILES=100000 cargo test --release -p towline --test load -- --nocapture
    TOWLINE_FUZZ_SECONDS=120 cargo test --release -p towline-engine --features fuzz --test fuzz -- --nocapture
    TOWLINE_SIM_SEEDS=20000 cargo test -p towline-engine --lib simulated -- --nocapture
    TOWLINE_CRASH_SEEDS=64 cargo test -p towline-engine --test crash -- --nocapture
    TOWLINE_TORTURE_SAMPLE=500 cargo test -p towline-engine --test torture -- --nocapture
