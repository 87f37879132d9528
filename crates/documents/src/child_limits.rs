//! The limits that a child sets itself before it reads a byte of a document.
//!
//! Processor time, memory and open files by `setrlimit`; no file system and no network, by Landlock where the kernel has
//! it; no sockets, programs or debugging by a filter of system calls. What a kernel does not
//! offer is left out: the limits of time and memory hold everywhere on Unix.

/// Files that a child may have open: its pipes, and what the allocator and the standard library need.
#[cfg(unix)]
const OPEN_FILES_MAX: u64 = 64;

/// Sets what does not depend on the document.
pub(crate) fn limit_this_process(memory_bytes_max: u64) {
    #[cfg(unix)]
    {
        use rlimit::Resource;
        for (resource, limit) in [
            (Resource::AS, memory_bytes_max),
            (Resource::NOFILE, OPEN_FILES_MAX),
            (Resource::CORE, 0),
            (Resource::FSIZE, 0),
        ] {
            // A hard limit below ours stays.
            let _ = resource.set(limit, limit);
        }
    }
    #[cfg(target_os = "linux")]
    {
        let _ = deny_files_and_network();
        let _ = deny_system_calls();
    }
    #[cfg(not(unix))]
    let _ = memory_bytes_max;
}

/// Limits the processor time that this process may take from now on, in seconds.
pub(crate) fn limit_processor_time(seconds: u64) {
    #[cfg(unix)]
    {
        // The start of the process has taken some already, at most this.
        let limit = seconds.saturating_add(1);
        // The softer one comes first, and its signal says what it was.
        let _ = rlimit::Resource::CPU.set(limit, limit.saturating_add(1));
    }
    #[cfg(not(unix))]
    let _ = seconds;
}

/// No file and no connection: nothing is allowed of what the kernel can take away. Pipes stay open.
#[cfg(target_os = "linux")]
fn deny_files_and_network() -> Result<(), landlock::RulesetError> {
    use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr};
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .create()?
        .restrict_self()?;
    Ok(())
}

/// Answers `EPERM` to calls that no reader of a document needs.
#[cfg(target_os = "linux")]
fn deny_system_calls() -> Result<(), seccompiler::Error> {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(()) };
    let denied = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_mount,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_io_uring_setup,
    ];
    let rules = denied.into_iter().map(|call| (call, Vec::new())).collect();
    let errno = u32::try_from(libc::EPERM).unwrap_or(1);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), architecture)?;
    let program: seccompiler::BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
}
