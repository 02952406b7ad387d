using System.Buffers.Binary;
using System.Text;
using VsockPair.Commands;
using VsockPair.Export;

namespace VsockPair.HostCollector.Tests.Export;

public sealed class HostTraceFileTests : IDisposable
{
    private const ushort Date = 1;
    private const ushort Buffer = 3;
    private const ushort TraceId = 11;
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Trace_id_and_clock_are_read()
    {
        Write(trace => trace.AddOption(TraceId, IdBytes(0xDEADBEEF12345678)), BufferOn("mono"));
        Assert.Equal(0xDEADBEEF12345678, HostTraceFile.Read(_path).Id);
    }

    [Theory]
    [InlineData("local")]
    [InlineData("boot")]
    [InlineData("x86-tsc")]
    public void A_clock_that_nothing_relates_to_the_guests_is_refused_and_the_right_one_named(string clock)
    {
        Write(trace => trace.AddOption(TraceId, IdBytes(1)), BufferOn(clock));
        AssertRefused($"is on clock {clock}", "record it with trace-cmd record -C mono");
    }

    [Fact]
    public void A_trace_without_an_id_or_with_times_of_its_own_making_is_refused()
    {
        Write(BufferOn("mono"));
        AssertRefused("has no trace id");
        Write(BufferOn("mono"), trace => trace.AddOption(Date, "0x123"));
        AssertRefused("shifts its time stamps itself");
    }

    [Fact]
    public void Older_versions_and_other_files_are_named_as_what_they_are()
    {
        File.WriteAllBytes(_path, [.. "\x17\x08\x44tracing6\0"u8, 0, 8, 0, 16, 0, 0]);
        AssertRefused("version 6", "trace-cmd convert --file-version 7");
        File.WriteAllText(_path, "perf data file, not of ftrace");
        AssertRefused("is no trace.dat");
        File.WriteAllText(_path, "");
        AssertRefused("is cut short");
        File.Delete(_path);
        AssertRefused("cannot be read");
        File.WriteAllText(_path, "");
    }

    [Fact]
    public void Mutated_files_are_refused_or_read_and_nothing_else()
    {
        Write(trace => trace.AddOption(TraceId, IdBytes(1)), BufferOn("mono"));
        byte[] whole = File.ReadAllBytes(_path);
        Random random = new(1);
        for (int i = 0; i < 3000; i++)
        {
            byte[] mutated = whole.AsSpan(0, random.Next(3) == 0 ? random.Next(whole.Length) : whole.Length).ToArray();
            for (int change = 0; change < random.Next(4) && mutated.Length > 0; change++)
            {
                mutated[random.Next(mutated.Length)] = (byte)random.Next(256);
            }
            File.WriteAllBytes(_path, mutated);
            try
            {
                HostTraceFile.Read(_path);
            }
            catch (CommandFailure)
            {
                // A reason in words.
            }
        }
    }

    private void AssertRefused(params string[] reasons)
    {
        CommandFailure refused = Assert.Throws<CommandFailure>(() => HostTraceFile.Read(_path));
        Assert.All(reasons, reason => Assert.Contains(reason, refused.Message, StringComparison.Ordinal));
    }

    private void Write(params Action<TraceDatFile>[] parts)
    {
        using FileStream stream = File.Create(_path);
        using TraceDatFile trace = new(stream, 4096);
        foreach (Action<TraceDatFile> part in parts)
        {
            part(trace);
        }
        trace.End();
    }

    private static Action<TraceDatFile> BufferOn(string clock) => trace => trace.AddOption(Buffer, [.. new byte[8], 0, .. Encoding.ASCII.GetBytes(clock), 0, 0, 16, 0, 0, 0, 0, 0, 0]);

    private static byte[] IdBytes(ulong id)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, id);
        return bytes;
    }
}
