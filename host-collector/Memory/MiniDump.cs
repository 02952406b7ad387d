using System.Diagnostics;
using VsockPair.Watch;

namespace VsockPair.Memory;

/// <summary>Takes of a machine that stands still only what tells of its end, in a time that does not depend on its size. Used by <c>watch</c>.</summary>
internal static class MiniDump
{
    /// <param name="reader"><c>vsockpair read-memory NAME --store DIR</c>, as the user who may see nothing else; its standard error is the caller's.</param>
    /// <param name="target">Can seek, is empty. Holds an ELF core afterwards, also when little was read.</param>
    /// <exception cref="MachineException">The machine cannot be read.</exception>
    /// <exception cref="IOException">The target cannot be written.</exception>
    public static async Task<MemoryReading> TakeAsync(IStandingMemory machine, ProcessStartInfo reader, Stream target, CancellationToken stop)
    {
        byte[] notes = await machine.ReadNotesAsync(stop) ?? [];
        reader.RedirectStandardInput = true;
        reader.RedirectStandardOutput = true;
        MiniCoreWriter core = new(target);
        MemoryReading reading;
        using (Process process = Process.Start(reader) ?? throw new InvalidOperationException($"{reader.FileName} did not start"))
        {
            try
            {
                reading = await new MemoryServer(machine, core).ServeAsync(notes, process.StandardOutput.BaseStream, process.StandardInput.BaseStream, stop);
            }
            finally
            {
                process.Kill();
            }
        }
        core.Finish(notes);
        return reading;
    }
}
