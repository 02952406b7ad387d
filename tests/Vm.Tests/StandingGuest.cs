using System.Text.Json.Nodes;
using VsockPair.Memory;
using VsockPair.TestKit.Vm;

namespace VsockPair.Vm.Tests;

/// <summary>The memory of a stopped test guest, by small dumps.</summary>
internal sealed class StandingGuest(Guest guest) : IStandingMemory
{
    private readonly string _piece = Path.Combine(guest.Directory, "piece");

    public async Task<bool> ReadMemoryAsync(ulong address, Memory<byte> target, CancellationToken stop)
    {
        if (!await DumpAsync(address, target.Length, stop))
        {
            return false;
        }
        using MemoryFile memory = Open(_piece);
        return memory.TryRead(address, target.Span);
    }

    public async Task<byte[]?> ReadNotesAsync(CancellationToken stop)
    {
        Assert.True(await DumpAsync(0, MemoryRequest.PageBytes, stop));
        using MemoryFile memory = Open(_piece);
        return memory.Notes.Bytes.ToArray();
    }

    public static MemoryFile Open(string path) =>
        MemoryFiles.TryOpen(path, out MemoryFile? memory, out string? reason) ? memory : throw new InvalidDataException(reason);

    /// <summary>The whole memory, in one of QEMU's formats.</summary>
    public static async Task<string> DumpAsync(Guest guest, string format)
    {
        string path = Path.Combine(guest.Directory, $"{format}.dump");
        await guest.Qmp.ExecuteAsync("dump-guest-memory", new JsonObject { ["paging"] = false, ["protocol"] = $"file:{path}", ["format"] = format });
        return path;
    }

    private async Task<bool> DumpAsync(ulong address, int bytes, CancellationToken stop)
    {
        try
        {
            JsonObject arguments = new() { ["paging"] = false, ["protocol"] = $"file:{_piece}", ["begin"] = (long)address, ["length"] = bytes };
            await guest.Qmp.ExecuteAsync("dump-guest-memory", arguments, stop);
            return true;
        }
        catch (InvalidOperationException)
        {
            // QEMU: there is no RAM.
            return false;
        }
    }
}
