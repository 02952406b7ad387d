using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using VsockPair.Cases;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary><c>vsockpair debug ID</c>: crash(8) on the memory of a case, with the vmlinux that belongs to it.</summary>
internal static class DebugCommand
{
    private const string Crash = "crash";

    /// <param name="print">Only say what would be run.</param>
    public static int Run(CommandContext context, string wanted, bool print)
    {
        StoredCase found = StoredCase.Find(context.Store, wanted);
        string vmcore = Path.Combine(found.Folder, CasePaths.Vmcore);
        if (!File.Exists(vmcore))
        {
            throw new CommandFailure(ExitCode.NothingFound, $"{found.Id} has no memory: {TerminalText.Escape(MemoryParts.Lacks(found.Event, hasFile: false) ?? "there is no vmcore")}; vsockpair cases {found.Id} shows what there is");
        }
        if (found.Event.Memory?.Taken != MemoryTaken.Full)
        {
            throw new CommandFailure(ExitCode.Failed, $"{found.Id} has only the parts of the memory that its dmesg.txt, tasks.txt and trace.dat were made from; crash needs all of it (Memory=full)");
        }
        string vmlinux = FindVmlinux(context, found);
        if (print)
        {
            context.Output.WriteLine(CaseText.CrashCommand(vmlinux, found));
            return ExitCode.Done;
        }
        return Start(vmlinux, vmcore);
    }

    private static string FindVmlinux(CommandContext context, StoredCase found)
    {
        (string? buildId, string? release) = CaseKernel.Of(context.Store, found);
        if (buildId is null)
        {
            throw new CommandFailure(ExitCode.Failed, found.Manifest is null
                ? $"{found.Id} has not been assembled yet; vsockpair assemble {found.Id}"
                : $"nothing says which kernel {found.Id} is of: it had no agent, and its memory no VMCOREINFO (QEMU: -device vmcoreinfo)");
        }
        VmlinuxSearch search = new(context.Store, context.Watch);
        string? fault = null;
        return search.Find(buildId, release) ?? search.Download(buildId, out fault) ?? throw new CommandFailure(
            ExitCode.NothingFound,
            $"no vmlinux with build-id {buildId} is on this host{(fault is null ? "" : $" ({TerminalText.Escape(fault)})")}: {search.HowToGet(buildId, release)}"
            + (context.Watch.Debuginfod ? "" : "; or set [Watch] Debuginfod=yes"));
    }

    private static int Start(string vmlinux, string vmcore)
    {
        // These are meant for crash, which the terminal sends them too.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => signal.Cancel = true);
        using PosixSignalRegistration quit = PosixSignalRegistration.Create(PosixSignal.SIGQUIT, signal => signal.Cancel = true);
        try
        {
            using Process process = Process.Start(Crash, [vmlinux, vmcore]);
            process.WaitForExit();
            return process.ExitCode == 0 ? ExitCode.Done : ExitCode.Failed;
        }
        catch (Win32Exception)
        {
            throw new CommandFailure(ExitCode.Failed, "crash is not installed: apt-get install crash, or dnf install crash; with --print the line is only shown");
        }
    }
}
