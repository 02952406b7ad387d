using System.Diagnostics;
using VsockPair.Cases;
using VsockPair.Storage;

namespace VsockPair.Functional.Tests.Cases;

public sealed class DebugCommandTests
{
    [Fact]
    public void Runs_crash_on_the_memory_with_the_vmlinux_that_debuginfod_brings()
    {
        using CaseStore store = new();
        string vmcore = Path.Combine(store.Case, CasePaths.Vmcore);
        File.WriteAllText(vmcore, "memory");
        store.WriteEvent(store.Event with { Memory = new CaseMemory("full", MemoryTaken.Full, "elf", null, 1) });
        DurableFile.Replace(
            CasePaths.Manifest(store.Case),
            new CaseManifest { Id = store.Id, Guest = "web1", Kind = CaseKinds.Panic, Time = store.Event.Time, BuildId = CaseStore.BuildId, Parts = [], Missing = [] },
            CaseJson.Default.CaseManifest);
        string vmlinux = Path.Combine(store.Folder, "downloaded");
        WriteVmlinux(vmlinux);
        string programs = Directory.CreateDirectory(Path.Combine(store.Folder, "bin")).FullName;
        string config = Path.Combine(store.Folder, "vsockpair.conf");
        File.WriteAllText(config, "[Watch]\nDebuginfod=yes\n");
        (int exitCode, string output) Debug()
        {
            ProcessStartInfo start = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "vsockpair.dll"), "debug", store.Id, "--store", store.Folder, "--config", config])
            {
                RedirectStandardOutput = true, RedirectStandardError = true,
            };
            start.Environment["PATH"] = $"{programs}:{Environment.GetEnvironmentVariable("PATH")}";
            using Process process = Process.Start(start)!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            string text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, text + error.Result);
        }

        WriteProgram(Path.Combine(programs, "debuginfod-find"), "exit 2");
        (int exitCode, string output) = Debug();
        Assert.Equal(3, exitCode);
        Assert.Contains("debuginfod-find found nothing (exit code 2", output, StringComparison.Ordinal);

        WriteProgram(Path.Combine(programs, "debuginfod-find"), $"[ \"$1 $2\" = \"debuginfo {CaseStore.BuildId}\" ] && echo {vmlinux}");
        WriteProgram(Path.Combine(programs, "crash"), "echo \"crash with $1 and $2\"; exit 0");
        Assert.Equal((0, $"crash with {vmlinux} and {vmcore}\n"), Debug());
    }

    private static void WriteProgram(string path, string script)
    {
        File.WriteAllText(path, "#!/bin/sh\n" + script + "\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>An ELF file that has nothing but its build-id.</summary>
    private static void WriteVmlinux(string path)
    {
        byte[] id = Convert.FromHexString(CaseStore.BuildId);
        byte[] file = new byte[64 + 56 + 16 + id.Length];
        "\u007fELF\u0002\u0001\u0001"u8.CopyTo(file);
        file[32] = 64;
        file[56] = 1;
        file[64] = 4;
        file[64 + 8] = 120;
        file[64 + 32] = (byte)(16 + id.Length);
        (file[120], file[124], file[128]) = (4, (byte)id.Length, 3);
        "GNU"u8.CopyTo(file.AsSpan(132));
        id.CopyTo(file, 136);
        File.WriteAllBytes(path, file);
    }
}
