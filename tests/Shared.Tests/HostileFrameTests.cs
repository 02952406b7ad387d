using VsockPair.Protocol;

namespace VsockPair.Shared.Tests;

/// <summary>What a hostile peer may send instead of a message: no exception, no memory beyond what it sent, and no message that is not one.</summary>
public sealed class HostileFrameTests
{
    /// <summary>Two bytes per char of a text, an object per note.</summary>
    private const int AllocationPerByte = 2;
    private const int AllocationBesides = 1024;

    public static TheoryData<string> Names => [.. ProtocolExamples.All.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_truncation_is_refused(string name)
    {
        byte[] body = BodyOf(name);
        byte[] target = new byte[Wire.MaxFrameBytes];
        for (int length = 0; length < body.Length; length++)
        {
            Assert.Equal(-1, ProtocolExamples.All[name].EncodeAgain(body.AsSpan(0, length), target));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Bytes_beyond_the_array_are_no_field_of_it(string name)
    {
        if (name != "tail")
        {
            // A control Hello may also end before either of its last two fields, a Welcome before its last.
            int least = name switch { "hello-control" => -3, "welcome" => -2, _ => -1 };
            Assert.Equal(-1, ProtocolExamples.All[name].EncodeAgain(WithFields(BodyOf(name), least, []), new byte[Wire.MaxFrameBytes]));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Fields_of_a_newer_peer_are_ignored(string name)
    {
        if (name == "tail")
        {
            return;
        }
        // A number, a text, bytes, nil and a nested array.
        byte[] newer = WithFields(BodyOf(name), 5, [0xCD, 0x01, 0x02, 0xA1, 0x61, 0xC4, 0x01, 0x00, 0xC0, 0x92, 0x01, 0x90]);
        byte[] target = new byte[Wire.MaxFrameBytes];
        int length = ProtocolExamples.All[name].EncodeAgain(newer, target);
        Assert.Equal(ProtocolExamples.All[name].Bytes(), target[..Math.Max(length, 0)]);
    }

    [Fact]
    public void Mutations_neither_throw_nor_allocate()
    {
        const int Mutations = 200_000;
        Random random = new(829);
        (string Name, byte[] Body)[] examples = [.. ProtocolExamples.All.Keys.Select(n => (n, BodyOf(n)))];
        byte[] target = new byte[Wire.MaxFrameBytes];
        foreach ((string name, byte[] body) in examples)
        {
            ProtocolExamples.All[name].EncodeAgain(body, target);
        }
        int accepted = 0;
        for (int i = 0; i < Mutations; i++)
        {
            (string name, byte[] body) = examples[i % examples.Length];
            ReadOnlySpan<byte> mutant = Mutate(body, random);
            ProtocolExample example = ProtocolExamples.All[name];
            long before = GC.GetAllocatedBytesForCurrentThread();
            int length = example.EncodeAgain(mutant, target);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(
                allocated <= AllocationBesides + AllocationPerByte * mutant.Length + (length > 0 ? AllocationBesides : 0),
                $"{allocated} bytes allocated for {name} {Convert.ToHexString(mutant)}");
            accepted += length > 0 ? 1 : 0;
        }
        // Some mutants are messages, with another number in them; if all or none were, this would test nothing.
        Assert.InRange(accepted, Mutations / 100, Mutations * 9 / 10);
    }

    [Fact]
    public void Noise_is_no_frame_of_any_kind()
    {
        Random random = new(40);
        byte[] noise = new byte[256];
        byte[] target = new byte[Wire.MaxFrameBytes];
        for (int i = 0; i < 20_000; i++)
        {
            random.NextBytes(noise);
            ReadOnlySpan<byte> body = noise.AsSpan(0, random.Next(noise.Length));
            foreach ((string name, ProtocolExample example) in ProtocolExamples.All.Where(e => e.Key != "tail"))
            {
                example.EncodeAgain(body, target);
            }
        }
    }

    private static byte[] BodyOf(string name)
    {
        byte[] bytes = ProtocolExamples.All[name].Bytes();
        return name == "tail" ? bytes : bytes[Frame.PrefixBytes..];
    }

    private static ReadOnlySpan<byte> Mutate(byte[] body, Random random)
    {
        byte[] mutant = [.. body, .. new byte[4]];
        int length = body.Length;
        for (int n = random.Next(1, 4); n > 0; n--)
        {
            int at = random.Next(length);
            switch (random.Next(5))
            {
                case 0:
                    mutant[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    mutant[at] = (byte)random.Next(256);
                    break;
                case 2:
                    // The codes of MessagePack that carry lengths.
                    mutant[at] = (byte)random.Next(0xC0, 0xE0);
                    break;
                case 3:
                    mutant.AsSpan(at, Math.Min(4, mutant.Length - at)).Fill(0xFF);
                    break;
                default:
                    length = random.Next(1, mutant.Length);
                    break;
            }
        }
        return mutant.AsSpan(0, length);
    }

    /// <summary>The array with another count and <paramref name="more"/> behind it.</summary>
    private static byte[] WithFields(byte[] body, int added, byte[] more)
    {
        (int count, int header) = body[0] == 0xDC ? ((body[1] << 8) | body[2], 3) : (body[0] & 0x0F, 1);
        count += added;
        return [0xDC, (byte)(count >> 8), (byte)count, .. body[header..], .. more];
    }
}
