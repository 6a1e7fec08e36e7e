//! The `tinychain` binary: reads the command line, then hands over to [`tinychain::server::serve`], makes a token, or
//! looks at the chains of a host that is stopped.
//!
//! Exit status: 0 after a shutdown by signal, or if all is well; 1 if the host could not start or the token not be made,
//! or if a chain is not as it should be; 2 if the command line is wrong.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use tinychain::env::{Clock as _, SystemClock};
use tinychain::server::auth::TokenArgs;
use tinychain::server::{Command, CommandLine, Config, key_list, offline, serve};
use tinychain::storage::DataDir;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

/// Small states come and go by the million; this allocator takes half the time of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Prints the usage and exits with status 2 if the command line is wrong.
    let line = CommandLine::parse();
    start_logging(&line.config.log_level);
    let result = match line.command {
        Some(Command::Token(args)) => make_token(&args).map(|()| true),
        Some(Command::Verify(args)) => look(&line.config, offline::verify(&args, &mut std::io::stdout())),
        Some(Command::Rebuild(args)) => look(&line.config, offline::rebuild(&args, &mut std::io::stdout())),
        None => run(line.config).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        // What is wrong was written.
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("tinychain: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to stderr at `level`, unless the environment variable `RUST_LOG` says otherwise.
fn start_logging(level: &str) {
    // What drivers say while it is found out that there is no GPU is no concern of who runs a host.
    let filter = || EnvFilter::new(format!("{level},wgpu_hal=off,wgpu_core=warn,naga=warn"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// Writes a token to stdout.
fn make_token(args: &TokenArgs) -> Result<(), String> {
    let keys = key_list(args.at_rest_key.as_deref()).map_err(|error| error.to_string())?;
    let secret = DataDir::read_secret(&args.data_dir, keys.as_ref()).map_err(|error| error.to_string())?;
    let now = SystemClock.unix_nanos() / 1_000_000_000;
    let token = args.token(&secret, now).map_err(|error| error.message().to_string())?;
    writeln!(std::io::stdout(), "{token}").map_err(|error| format!("cannot write the token: {error}"))
}

/// Looks at chains of a host that is stopped. Returns whether all is well.
fn look(config: &Config, work: impl Future<Output = tinychain::error::Result<bool>>) -> Result<bool, String> {
    runtime(config)?.block_on(work).map_err(|error| error.message().to_string())
}

fn runtime(config: &Config) -> Result<Runtime, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("tinychain")
        .thread_stack_size(config.stack_bytes())
        .build();
    runtime.map_err(|error| format!("cannot start the runtime: {error}"))
}

fn run(config: Config) -> Result<(), String> {
    let runtime = runtime(&config)?;
    let served = runtime.block_on(serve(config)).map_err(|error| error.to_string());
    // What is still running by now had its time to finish.
    runtime.shutdown_background();
    served
}
