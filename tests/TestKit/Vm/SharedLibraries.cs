using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>What a program of this machine must find in a guest to run there.</summary>
internal static class SharedLibraries
{
    /// <summary>The loader and all libraries that the program is linked with, by their paths, which are the same in the guest.</summary>
    public static async Task<IReadOnlyList<string>> OfAsync(string program)
    {
        // "libz.so.1 => /lib/…/libz.so.1 (0x…)", and the loader: "/lib64/ld-linux-x86-64.so.2 (0x…)".
        string lines = Encoding.UTF8.GetString(await HostCommand.RunAsync("/usr/bin/ldd", program));
        return [.. lines.Split((char[])[' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries).Where(word => word.StartsWith('/'))];
    }
}
