using System.Security.Cryptography;
using VsockPair.GuestAgent.Metadata;

namespace VsockPair.GuestAgent.Tests;

public sealed class Sha256Tests
{
    [Fact]
    public void Agrees_with_the_library_for_every_length_around_block_borders()
    {
        byte[] data = new byte[300];
        new Random(1).NextBytes(data);
        for (int length = 0; length <= data.Length; length++)
        {
            Sha256 hash = new();
            hash.Append(data.AsSpan(0, length));
            Assert.Equal(SHA256.HashData(data.AsSpan(0, length)), hash.Finish());
        }
    }

    [Fact]
    public void Agrees_with_the_library_however_the_data_is_cut()
    {
        byte[] data = new byte[100_000];
        Random random = new(2);
        random.NextBytes(data);
        for (int run = 0; run < 50; run++)
        {
            Sha256 hash = new();
            for (int at = 0; at < data.Length;)
            {
                int n = Math.Min(random.Next(0, 200 * (run + 1)), data.Length - at);
                hash.Append(data.AsSpan(at, n));
                at += n;
            }
            Assert.Equal(SHA256.HashData(data), hash.Finish());
        }
    }
}
