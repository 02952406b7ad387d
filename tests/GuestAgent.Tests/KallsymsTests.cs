using System.Text;
using VsockPair.GuestAgent.Files;
using VsockPair.GuestAgent.Metadata;

namespace VsockPair.GuestAgent.Tests;

public sealed class KallsymsTests
{
    [Fact]
    public void Core_symbols_do_not_depend_on_where_the_kernel_lies()
    {
        string here = Read(Kernel(0xffffffff81000000), KallsymsPart.Core);

        Assert.Equal("0000000000000000 A fixed_percpu_data\n0000000000004000 A high_percpu\n+0 T startup_64\n+0 T _text\n+160 t do_one\n+1000000 D jiffies\n"
            + "ffffffffff600000 A vsyscall_page\n", here);
        Assert.Equal(here, Read(Kernel(0xffffffffa3c00000), KallsymsPart.Core));
    }

    [Fact]
    public void Boot_part_has_the_base_and_the_rest_as_it_is() =>
        Assert.Equal("ffffffffa3c00000 _text\nffffffffc0001000 t init\t[vsock]\nffffffffc0009000 t bpf_prog_1\t[bpf]\n",
            Read(Kernel(0xffffffffa3c00000), KallsymsPart.Boot));

    [Fact]
    public void Zeros_are_recognised_as_hidden()
    {
        using KallsymsSource source = new(Source("0000000000000000 T _text\n0000000000000000 t do_one\n"), KallsymsPart.Core);

        Assert.True(source.IsHidden);
    }

    [Fact]
    public void Lines_are_whole_however_they_are_read()
    {
        StringBuilder text = new(Kernel(0xffffffff81000000));
        for (int i = 0; i < 5000; i++)
        {
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{0xffffffff82000000UL + (ulong)i:x16} t symbol_{i}\n");
        }
        string whole = Read(text.ToString(), KallsymsPart.Core, step: 65536);

        Assert.Equal(whole, Read(text.ToString(), KallsymsPart.Core, step: 7));
        Assert.EndsWith("+1001387 t symbol_4999\n", whole, StringComparison.Ordinal);
    }

    private static string Kernel(ulong text) => $"""
        0000000000000000 A fixed_percpu_data
        0000000000004000 A high_percpu
        {text:x16} T startup_64
        {text:x16} T _text
        {text + 0x160:x16} t do_one
        {text + 0x1000000:x16} D jiffies
        ffffffffff600000 A vsyscall_page
        ffffffffc0001000 t init{'\t'}[vsock]
        ffffffffc0009000 t bpf_prog_1{'\t'}[bpf]

        """;

    private static Func<ByteSource> Source(string text) => () => new SnapshotSource(Encoding.UTF8.GetBytes(text));

    private static string Read(string text, KallsymsPart part, int step = 4096)
    {
        using KallsymsSource source = new(Source(text), part);
        StringBuilder all = new();
        byte[] buffer = new byte[step];
        int n;
        while ((n = source.Read(buffer)) > 0)
        {
            all.Append(Encoding.UTF8.GetString(buffer, 0, n));
        }
        Assert.Equal(0, n);
        return all.ToString();
    }
}
