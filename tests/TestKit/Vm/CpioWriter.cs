using System.Globalization;
using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>
/// Writes the "newc" cpio format that the kernel unpacks as its initramfs (Documentation/driver-api/early-userspace/buffer-format.rst).
/// Several archives may follow each other; a later file replaces an earlier one of the same name.
/// </summary>
internal sealed class CpioWriter(Stream output)
{
    private const int DirectoryMode = 0x41ED; // S_IFDIR | 0755
    private const int FileMode = 0x81ED; // S_IFREG | 0755

    // The kernel hashes (device, inode, mode) to find hard links, only for nlink > 1; numbers are unique all the same.
    private int _inode = 1;
    private readonly HashSet<string> _directories = [];

    public void AddFile(string path, ReadOnlySpan<byte> content)
    {
        string name = path.TrimStart('/');
        AddParents(name);
        WriteHeader(name, FileMode, content.Length);
        output.Write(content);
        Pad(content.Length);
    }

    public void AddText(string path, string text) => AddFile(path, Encoding.UTF8.GetBytes(text));

    public void Finish() => WriteHeader("TRAILER!!!", 0, 0);

    private void AddParents(string name)
    {
        for (int slash = name.IndexOf('/', StringComparison.Ordinal); slash >= 0; slash = name.IndexOf('/', slash + 1))
        {
            string directory = name[..slash];
            if (_directories.Add(directory))
            {
                WriteHeader(directory, DirectoryMode, 0);
            }
        }
    }

    private void WriteHeader(string name, int mode, int size)
    {
        byte[] nameBytes = Encoding.UTF8.GetBytes(name + '\0');
        int links = mode == DirectoryMode ? 2 : 1;
        int[] fields = [_inode++, mode, 0, 0, links, 0, size, 0, 0, 0, 0, nameBytes.Length, 0];
        string header = "070701" + string.Concat(fields.Select(field => field.ToString("x8", CultureInfo.InvariantCulture)));
        output.Write(Encoding.ASCII.GetBytes(header));
        output.Write(nameBytes);
        Pad(header.Length + nameBytes.Length);
    }

    private void Pad(int length)
    {
        ReadOnlySpan<byte> zeros = [0, 0, 0];
        output.Write(zeros[..(-length & 3)]);
    }
}
