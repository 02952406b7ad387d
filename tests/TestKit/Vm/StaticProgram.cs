using System.Security.Cryptography;
using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>Small C programs, most of them for use inside guests: compiled once per source text, with <c>gcc -static</c> where nothing else is said, kept in the rig's cache.</summary>
public static class StaticProgram
{
    /// <summary>Path of the compiled <c>vsock-cat</c>, see Programs/vsock-cat.c for its use.</summary>
    public static Task<string> VsockCatAsync() => CompileAsync("vsock-cat", ReadResource("vsock-cat.c"));

    /// <summary>Path of the compiled <c>trace-load</c>: scheduler events and markers at a wanted rate on each CPU.</summary>
    public static Task<string> TraceLoadAsync() => CompileAsync("trace-load", ReadResource("trace-load.c"));

    /// <summary>Path of the compiled <c>kmsg-load</c>: many kernel log records of every shape.</summary>
    public static Task<string> KmsgLoadAsync() => CompileAsync("kmsg-load", ReadResource("kmsg-load.c"));

    /// <summary>Path of the compiled <c>kmsg-dump</c>: what a reader in the guest itself sees of the kernel log.</summary>
    public static Task<string> KmsgDumpAsync() => CompileAsync("kmsg-dump", ReadResource("kmsg-dump.c"));

    /// <summary>Path of the compiled <c>trace-capture</c>: a trace directory's metadata and rings on standard output.</summary>
    public static Task<string> TraceCaptureAsync() => CompileAsync("trace-capture", ReadResource("trace-capture.c"));

    /// <summary>Path of the compiled <c>socket-unit</c>: starts a program with a listening AF_VSOCK socket, as systemd does.</summary>
    public static Task<string> SocketUnitAsync() => CompileAsync("socket-unit", ReadResource("socket-unit.c"));

    /// <summary>Path of the compiled <c>moment-marks</c>, for <see cref="MomentMarks"/>.</summary>
    internal static Task<string> MomentMarksAsync() => CompileAsync("moment-marks", ReadResource("moment-marks.c"));

    internal static Task<string> CommandServerAsync() => CompileAsync("command-server", ReadResource("command-server.c"));

    /// <summary>Path of a library to preload into the vsock backend, see Programs/backend-guard.c for the reason.</summary>
    internal static Task<string> BackendGuardAsync() => CompileAsync("backend-guard", ReadResource("backend-guard.c"), "-shared", "-fPIC");

    /// <summary>Path of the compiled <c>kernelshark-entries</c>, for <see cref="KernelShark"/>; linked with the library that KernelShark is made of.</summary>
    internal static Task<string> KernelSharkEntriesAsync() => CompileAsync("kernelshark-entries", ReadResource("kernelshark-entries.c"), "-Wl,--no-as-needed", "-l:libkshark.so.2");

    /// <summary>Compiles a test's own C source.</summary>
    public static Task<string> CompileAsync(string name, string source) => CompileAsync(name, source, "-static", "-pthread");

    private static Task<string> CompileAsync(string name, string source, params string[] flags)
    {
        string digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source)))[..16];
        return RigCache.GetOrBuildAsync("programs", $"{name}-{digest}", async output =>
        {
            string file = $"{output}.c";
            try
            {
                await File.WriteAllTextAsync(file, source);
                await HostCommand.RunAsync(
                    RigCache.Require("/usr/bin/gcc", "gcc"), [.. flags, "-O2", "-s", "-Wall", file, "-o", output]);
            }
            finally
            {
                File.Delete(file);
            }
        });
    }

    internal static string ReadResource(string name)
    {
        using Stream stream = typeof(StaticProgram).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"TestKit has no embedded resource {name}");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
