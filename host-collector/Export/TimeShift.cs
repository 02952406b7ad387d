namespace VsockPair.Export;

/// <summary>
/// The option TIME_SHIFT of trace.dat: moments of the file's own clock with what is to be added then, which trace-cmd and KernelShark interpolate and apply as they read
/// (<c>timestamp_correction_calc</c> in trace-cmd's trace-input.c). The stored sub-buffers stay as they are.
/// </summary>
internal static class TimeShift
{
    private const uint Interpolate = 1;

    /// <summary>Of all vCPUs together: 40 bytes each in the file.</summary>
    private const int MostMoments = 1 << 20;
    private const int MostMomentsPerVcpu = 4096;
    private const int LeastMomentsPerVcpu = 64;

    public static int MostMomentsOf(int vcpus) => Math.Clamp(MostMoments / vcpus, LeastMomentsPerVcpu, MostMomentsPerVcpu);

    /// <param name="vcpus">One more than the highest number: each needs moments of its own, and those without stay unshifted.</param>
    public static byte[] Encode(TraceDatFile file, ExportTimes times, int vcpus)
    {
        IReadOnlyList<(long Time, long Offset)> moments = times.Moments;
        using MemoryStream option = new();
        file.Write(option, times.PeerId);
        file.Write(option, Interpolate);
        file.Write(option, (uint)vcpus);
        for (int i = 0; i < vcpus; i++)
        {
            file.Write(option, (uint)moments.Count);
            foreach ((long time, _) in moments)
            {
                file.Write(option, (ulong)time);
            }
            foreach ((_, long offset) in moments)
            {
                file.Write(option, (ulong)offset);
            }
            WriteAll(file, option, moments.Count, 1);
        }
        // Fraction bits of the scaling, which is 1.
        for (int i = 0; i < vcpus; i++)
        {
            WriteAll(file, option, moments.Count, 0);
        }
        return option.ToArray();
    }

    private static void WriteAll(TraceDatFile file, MemoryStream option, int count, ulong number)
    {
        for (int i = 0; i < count; i++)
        {
            file.Write(option, number);
        }
    }
}
