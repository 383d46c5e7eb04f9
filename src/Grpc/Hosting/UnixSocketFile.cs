using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Vmm.Grpc.Hosting;

/// <summary>
/// The file of a Unix socket. A server holds a lock on <c>path.lock</c> while it lives, and notes there when it made
/// the socket; a socket that is found is removed only if it is the one the note tells of and nobody holds the lock.
/// </summary>
[SuppressMessage("Interoperability", "CA1416", Justification = "The program runs on Linux; Platform refuses others.")]
internal sealed class UnixSocketFile : IDisposable
{
    /// <summary>sun_path has 108 bytes, one of them for the end (unix(7)).</summary>
    public const int MaxPathBytes = 107;

    readonly string path;
    readonly FileStream note;

    UnixSocketFile(string path, FileStream note)
    {
        this.path = path;
        this.note = note;
    }

    /// <summary>Takes a path for a socket. Fails with ArgumentException for a path that cannot be one, IOException for a file in the way.</summary>
    public static UnixSocketFile Claim(string path)
    {
        path = Path.GetFullPath(path);
        if (path.Contains('\0', StringComparison.Ordinal) || Encoding.UTF8.GetByteCount(path) > MaxPathBytes)
        {
            throw new ArgumentException($"the path of a Unix socket has at most {MaxPathBytes} bytes: {path}");
        }

        var note = Lock(path);
        try
        {
            RemoveStale(path, note);
            return new UnixSocketFile(path, note);
        }
        catch
        {
            note.Dispose();
            throw;
        }
    }

    /// <summary>Binds; nobody but the owner can connect, from the first moment, because nobody listens yet.</summary>
    public Socket Bind()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(path));
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            note.SetLength(0);
            note.Write(Encoding.ASCII.GetBytes(Stamp(path)));
            note.Flush();
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Gives the path back. The socket's own file goes with the socket.</summary>
    public void Dispose()
    {
        if (!note.CanWrite)
        {
            return;
        }

        if (Exists(path) && Read(note) == Stamp(path))
        {
            File.Delete(path);
        }

        File.Delete(path + ".lock");
        note.Dispose();
    }

    /// <summary>Lets go of the lock and leaves the files, as a killed process does.</summary>
    internal void Abandon() => note.Dispose();

    static FileStream Lock(string path)
    {
        if (new FileInfo(path + ".lock").LinkTarget != null)
        {
            throw new IOException($"{path}.lock is a symbolic link");
        }

        try
        {
            return new FileStream(path + ".lock", new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                BufferSize = 0,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
        }
        catch (IOException error) when (error is not DirectoryNotFoundException and not FileNotFoundException)
        {
            throw new IOException($"{path} is in use by another server", error);
        }
    }

    static void RemoveStale(string path, FileStream note)
    {
        if (!Exists(path))
        {
            return;
        }

        if (Read(note) != Stamp(path))
        {
            throw new IOException($"{path} exists and was not made by this program: remove it or choose another path");
        }

        File.Delete(path);
    }

    /// <summary>Whether anything has this name, a dangling link too.</summary>
    static bool Exists(string path) => new FileInfo(path) is var file && (file.LinkTarget != null || file.Exists || Directory.Exists(path));

    /// <summary>The time of its making tells one socket from another under the same name: nothing is ever written to a socket's file.</summary>
    static string Stamp(string path) => "socket " + File.GetLastWriteTimeUtc(path).Ticks.ToString(CultureInfo.InvariantCulture) + "\n";

    static string Read(FileStream note)
    {
        var text = new byte[64];
        note.Position = 0;
        return Encoding.ASCII.GetString(text, 0, note.ReadAtLeast(text, text.Length, throwOnEndOfStream: false));
    }
}
