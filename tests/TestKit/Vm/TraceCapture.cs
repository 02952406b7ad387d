using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>What a guest's trace directory held: the raw sub-buffers of each CPU, and everything that gives them a meaning.</summary>
public sealed record TraceCapture(IReadOnlyDictionary<string, byte[]> Metadata, IReadOnlyList<byte[]> Cpus, int SubBufferBytes)
{
    public const string Tracing = "/sys/kernel/tracing";
    private const string Program = "/bin/trace-capture";

    /// <summary>What a guest must have for <see cref="TakeAsync"/>.</summary>
    public static async Task<Dictionary<string, string>> FilesAsync() => new() { [Program] = await StaticProgram.TraceCaptureAsync() };

    /// <summary>Empties the top-level rings. Tracing should be off, so that the names of threads are those of the events.</summary>
    public static async Task<TraceCapture> TakeAsync(Guest guest)
    {
        string header = (await guest.RunAsync($"cat {Tracing}/events/header_page")).EnsureSuccess().Text;
        int size = SubBufferSize(header);
        byte[] stream = (await guest.RunAsync($"{Program} {Tracing} {size}", TimeSpan.FromMinutes(3))).EnsureSuccess().Output;
        Dictionary<string, byte[]> metadata = [];
        List<byte[]> cpus = [];
        int at = 0;
        while (at < stream.Length)
        {
            string name = Encoding.UTF8.GetString(Take(stream, ref at));
            byte[] content = Take(stream, ref at);
            if (name.StartsWith("cpu", StringComparison.Ordinal))
            {
                cpus.Add(content);
            }
            else
            {
                metadata[name] = content;
            }
        }
        return new TraceCapture(metadata, cpus, size);
    }

    // "field: char data;  offset:16;  size:4080;  signed:1;"
    private static int SubBufferSize(string headerPage)
    {
        string line = headerPage.Split('\n').Single(l => l.Contains(" data;", StringComparison.Ordinal));
        int Value(string key) => int.Parse(line.Split(key)[1].Split(';')[0], CultureInfo.InvariantCulture);
        return Value("offset:") + Value("size:");
    }

    private static byte[] Take(byte[] stream, ref int at)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(stream.AsSpan(at));
        byte[] bytes = stream[(at + sizeof(int))..(at + sizeof(int) + length)];
        at += sizeof(int) + length;
        return bytes;
    }
}
